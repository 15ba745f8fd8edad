#include "storage/purge_job.h"

#include "storage/job_keys.h"
#include "tests/support/catalog_backends.h"

#include <algorithm>

using namespace tidepool;
using namespace tidepool::storage;
using test::make_object;
using test::make_pool;
using test::value_of;

namespace {

const std::string kUuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
const std::string kKey = "uploads/original/2026/02/25/" + kUuid + ".jpg";
const std::string kVariant = "uploads/variants/2026/02/25/" + kUuid + "_small.webp";
constexpr std::int64_t kFar = 4'000'000'000;  // everything is due

conf::Settings with_zone() {
    conf::Settings settings;
    settings.purge.zone_id = "0123456789abcdef0123456789abcdef";
    return settings;
}

KnownPool known(PoolId id, const std::string& base_url = "", bool redirects = false) {
    KnownPool pool{.settings = {}, .id = id};
    pool.settings.public_base_url = base_url;
    if (redirects) pool.settings.serve = conf::PoolSettings::Serve::redirect;
    return pool;
}

// Open ones, with what they wish.
std::vector<std::pair<JobRecord, PurgeWish>> purges(Catalog& catalog) {
    std::vector<std::pair<JobRecord, PurgeWish>> found;
    for (const JobRecord& job : value_of(catalog.list_jobs({.type = "purge"}, 100))) {
        if (job.state == JobRecord::State::queued || job.state == JobRecord::State::running)
            found.emplace_back(job, value_of(purge_wish(job)));
    }
    return found;
}

std::vector<JobRecord> take_purges(Catalog& catalog, const std::string& owner) {
    const Catalog::LaneWant want{"purge", 10};
    return value_of(catalog.take_jobs({&want, 1}, owner, kFar, 300));
}

using Keys = std::vector<std::string>;

}  // namespace

CATALOG_TEST("purge job: a deletion queues one with all that is known", "[purge]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    catalog->follow_outdated(purge_follower(with_zone(), std::vector{known(hot)}));
    value_of(catalog->put_object(make_object(kKey, hot)));
    value_of(catalog->put_object(make_object(kVariant, hot)));
    CHECK(purges(*catalog).empty());
    const Uuid image = *parse_uuid(kUuid);
    value_of(catalog->begin_deletion(image, {.type = "delete", .payload = "{}"}, 1000));
    const auto found = purges(*catalog);
    REQUIRE(found.size() == 1);
    CHECK(found[0].second.image == image);
    CHECK(found[0].second.keys == Keys{kKey, kVariant});
    CHECK(found[0].second.is_whole);
    // Rows that go later are no further reason.
    value_of(catalog->remove_object(kVariant, hot));
    CHECK(purges(*catalog).size() == 1);
    CHECK(purges(*catalog)[0].second.asked == 1);
}

CATALOG_TEST("purge job: without a zone none is queued", "[purge]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    catalog->follow_outdated(purge_follower(conf::Settings{}, std::vector{known(hot)}));
    value_of(catalog->put_object(make_object(kKey, hot)));
    value_of(catalog->put_object(make_object(kKey, hot, 200)));
    value_of(
        catalog->begin_deletion(*parse_uuid(kUuid), {.type = "delete", .payload = "{}"}, 1000));
    CHECK(purges(*catalog).empty());
}

CATALOG_TEST("purge job: other content at a key is a reason, the same is not", "[purge]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    catalog->follow_outdated(purge_follower(with_zone(), std::vector{known(hot)}));
    const auto put = [&](const std::string& key, std::uint64_t size) {
        value_of(catalog->put_object(make_object(key, hot, size)));
    };
    const auto adopt = [&](const std::string& key, std::uint64_t size) {
        const auto object = make_object(key, hot, size);
        value_of(catalog->adopt({&object, 1}));
    };
    put(kKey, 100);
    put(kKey, 100);
    adopt(kKey, 100);
    put(kVariant, 10);
    CHECK(purges(*catalog).empty());
    adopt(kVariant, 11);
    auto found = purges(*catalog);
    REQUIRE(found.size() == 1);
    CHECK(found[0].second.keys == Keys{kVariant});
    CHECK_FALSE(found[0].second.is_whole);
    put(kKey, 101);
    found = purges(*catalog);
    REQUIRE(found.size() == 1);  // of the same image
    CHECK(found[0].second.keys == Keys{kKey, kVariant});
    CHECK(found[0].second.is_whole);
    CHECK(found[0].second.asked == 2);
    put("uploads/named.jpg", 1);
    value_of(catalog->remove_object("uploads/named.jpg", hot));
    found = purges(*catalog);
    REQUIRE(found.size() == 2);
    CHECK(found[1].second.keys == Keys{"uploads/named.jpg"});
}

CATALOG_TEST("purge job: behind one that runs another is queued, which covers what comes then",
             "[purge]") {
    TestType backend;
    const auto catalog = backend.open();
    const NewJob wanted = purge_job({.image = parse_uuid(kUuid), .keys = {"a"}}, "");
    NewJob more = purge_job({.image = parse_uuid(kUuid), .keys = {"b"}}, "");
    const auto first = value_of(catalog->queue_job(wanted, 1000));
    CHECK(value_of(catalog->queue_job(more, 1000)) == first);
    auto taken = take_purges(*catalog, "one");
    REQUIRE(taken.size() == 1);
    CHECK(value_of(purge_wish(taken[0])).keys == Keys{"a", "b"});
    CHECK_FALSE(value_of(has_later_purge(*catalog, taken[0])));
    const auto second = value_of(catalog->queue_job(wanted, 1000));
    CHECK(second != first);
    CHECK(value_of(catalog->queue_job(more, 1000)) == second);
    CHECK(value_of(has_later_purge(*catalog, taken[0])));
    const auto taken_second = take_purges(*catalog, "two");
    REQUIRE(taken_second.size() == 1);
    CHECK(taken_second[0].id == second);
    const auto third = value_of(catalog->queue_job(wanted, 1000));
    CHECK(third != second);
    // One that waits for its next attempt is as good as a new one, and is due at once.
    CHECK(value_of(catalog->fail_job(first, "one", {"io", "", kFar}, 1000)));
    CHECK(value_of(catalog->queue_job(more, 1000)) == first);
    const auto job = value_of(catalog->find_job(first));
    REQUIRE(job);
    CHECK(job->next_run_s == 1000);
    CHECK(value_of(purge_wish(*job)).asked == 3);
    CHECK(value_of(catalog->open_in("purge")).oldest_s == 1000);
    CHECK(value_of(catalog->open_in("purge")).failing == 1);  // until an attempt is better
    CHECK_FALSE(value_of(catalog->open_in("move")).oldest_s);
}

CATALOG_TEST("purge job: the one that fails is counted, and kept until somebody cancels it",
             "[purge]") {
    TestType backend;
    const auto catalog = backend.open();
    const JobId id = value_of(catalog->queue_job(purge_job({.is_everything = true}, ""), 0));
    REQUIRE(take_purges(*catalog, "one").size() == 1);
    value_of(catalog->fail_job(id, "one", {"denied", "no", kFar}, 1));
    CHECK(value_of(catalog->open_in("purge")).failing == 1);
    REQUIRE(take_purges(*catalog, "two").size() == 1);
    value_of(catalog->fail_job(id, "two", {"invalid", "no", {}}, 2));
    CHECK(value_of(catalog->open_in("purge")).failing == 0);
    const JobId move = value_of(catalog->queue_job({.type = "move", .payload = "{}"}, 0));
    const Catalog::LaneWant want{"move", 1};
    REQUIRE(value_of(catalog->take_jobs({&want, 1}, "one", 0, 30)).size() == 1);
    value_of(catalog->fail_job(move, "one", {"denied", "no", {}}, 2));
    CHECK(value_of(catalog->forget_jobs(kFar)) == 1);
    CHECK_FALSE(value_of(catalog->find_job(move)));
    CHECK(value_of(catalog->find_job(id)));
    CHECK_FALSE(value_of(catalog->set_job_state(id, JobRecord::State::paused, 3)));
    CHECK(value_of(catalog->set_job_state(id, JobRecord::State::cancelled, 3)));
    CHECK(value_of(catalog->forget_jobs(kFar)) == 1);
}

CATALOG_TEST("purge job: a move is a reason where visitors find it elsewhere", "[purge]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId warm = make_pool(*catalog, "warm");
    const PoolId cold = make_pool(*catalog, "cold");
    const PoolId away = make_pool(*catalog, "away");
    catalog->follow_outdated(
        purge_follower(with_zone(), std::vector{known(hot), known(warm), known(cold, "https://c"),
                                                known(away, "https://c", true)}));
    const auto object = make_object(kKey, hot);
    value_of(catalog->put_object(object));
    PoolId at = hot;
    const auto move = [&](PoolId to) {
        auto moved = object;
        moved.pool = at;
        Relocation relocation{.objects = {moved}, .to = to};
        relocation.image = object.image;
        relocation.now_s = 1000;
        value_of(catalog->relocate(relocation));
        at = to;
        const auto found = purges(*catalog);
        return found.empty() ? 0 : found[0].second.asked;
    };
    CHECK(move(warm) == 0);
    CHECK(move(cold) == 1);
    CHECK(move(away) == 2);
    CHECK(move(cold) == 3);
    CHECK(purges(*catalog)[0].second.is_whole);
}

CATALOG_TEST("purge job: what nobody may see any more waits for nothing that is only old",
             "[purge]") {
    TestType backend;
    const auto catalog = backend.open();
    const auto follow = purge_follower(with_zone(), {});
    const auto queue = [&](Outdated::Why why, const char* uuid) {
        const auto job = follow({.why = why, .image = parse_uuid(uuid)});
        REQUIRE(job);
        value_of(catalog->queue_job(*job, 1000));
    };
    queue(Outdated::Why::moved, "0f8fad5b-d9cb-469f-a165-70867728950f");
    queue(Outdated::Why::replaced, kUuid.c_str());
    // The one that waits goes with what comes to it, and stays there.
    queue(Outdated::Why::hidden, kUuid.c_str());
    queue(Outdated::Why::shown, kUuid.c_str());
    CHECK(take_purges(*catalog, "a").size() == 1);
    const Catalog::LaneWant want{std::string(kTakedownLane), 10};
    const auto taken = value_of(catalog->take_jobs({&want, 1}, "b", kFar, 300));
    REQUIRE(taken.size() == 1);
    CHECK(purge_wish(taken[0])->image == parse_uuid(kUuid));
    CHECK(purge_wish(taken[0])->asked == 3);
}

TEST_CASE("purge job: a move that hides an image is a takedown", "[purge]") {
    std::vector pools{known(1), known(2), known(3), known(4, "https://c")};
    pools[1].settings.visibility = conf::PoolSettings::Visibility::signed_only;
    pools[2].settings.visibility = conf::PoolSettings::Visibility::signed_only;
    pools[2].settings.public_base_url = "https://private";
    const auto follow = purge_follower(with_zone(), pools);
    const auto is_takedown = [&](PoolId from, PoolId to) {
        const auto job = follow(
            {.why = Outdated::Why::moved, .image = parse_uuid(kUuid), .from = from, .to = to});
        REQUIRE(job);
        return job->lane == kTakedownLane;
    };
    CHECK(is_takedown(1, 2));
    CHECK(is_takedown(9, 2));  // nobody knows whether it was private
    CHECK_FALSE(is_takedown(2, 1));
    CHECK_FALSE(is_takedown(2, 3));
    CHECK_FALSE(is_takedown(1, 4));
    CHECK_FALSE(is_takedown(1, 9));
}

CATALOG_TEST("purge job: visitors are refused what is hidden or gone now", "[purge]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const auto object = make_object(kKey, hot);
    std::vector pools{known(hot)};
    const auto refuses = [&] { return value_of(is_refused_now(*catalog, pools, kKey)); };
    CHECK_FALSE(refuses());
    value_of(catalog->put_object(object));
    CHECK_FALSE(refuses());
    pools[0].settings.visibility = conf::PoolSettings::Visibility::signed_only;
    CHECK(refuses());
    pools[0].settings.visibility = conf::PoolSettings::Visibility::everybody;
    value_of(catalog->set_private(*object.image, true));
    CHECK(refuses());
    value_of(catalog->set_private(*object.image, false));
    CHECK_FALSE(refuses());
    value_of(catalog->begin_deletion(*object.image, {.type = "delete", .payload = "{}"}, 1000));
    CHECK(refuses());
}

CATALOG_TEST("purge job: orders are checked and cut into jobs", "[purge]") {
    TestType backend;
    const auto catalog = backend.open();
    PurgeOrder order;
    CHECK(ordered_purges(*catalog, order, "").error().kind == ErrorKind::invalid);
    for (const char* url : {"", "images.example/a", "ftp://a/b", "https://a", "https:///a",
                            "https://a b/c", "https://u:p@h/a"}) {
        CAPTURE(url);
        order.urls = {url};
        CHECK_FALSE(ordered_purges(*catalog, order, ""));
    }
    order = {.images = {*parse_uuid(kUuid)}};
    CHECK(ordered_purges(*catalog, order, "").error().kind == ErrorKind::not_found);
    order = {.keys = {"uploads/a.jpg"}, .urls = Keys(1001, "https://a/b"), .is_everything = true};
    const auto jobs = value_of(ordered_purges(*catalog, order, "by hand"));
    REQUIRE(jobs.size() == 4);
    CHECK(jobs[0].dedup_key == purge_key("uploads/a.jpg"));
    CHECK(jobs[1].dedup_key.empty());
    CHECK(jobs[3].batch == "by hand");
}
