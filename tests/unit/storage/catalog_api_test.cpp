// What the admin API asks of the catalog's interface.
#include "conf/digest.h"
#include "tests/support/catalog_backends.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::make_pool;
using test::value_of;

namespace {

constexpr std::int64_t kThen = 1'700'000'000;

Uuid numbered(unsigned number) {
    return parse_uuid(fmt::format("0b1f6c2e-9a7d-4c55-8a3e-{:012x}", number)).value();
}

ImageRecord numbered_image(unsigned number, PoolId pool, std::string owner = "") {
    return {.uuid = numbered(number),
            .pool = pool,
            .original = fmt::format("uploads/original/2026/02/{:02}/{}.jpg", 1 + number % 2,
                                    to_text(numbered(number))),
            .state = number % 3 == 0 ? ImageRecord::State::failed : ImageRecord::State::complete,
            .uploaded_s = kThen,
            .moved_s = kThen,
            .metadata = {},
            .owner = std::move(owner)};
}

// All pages, a page at a time.
std::vector<Uuid> all_of(Catalog& catalog, ImageFilter filter, std::size_t limit) {
    std::vector<Uuid> uuids;
    while (true) {
        const ImagePage page = value_of(catalog.list_images(filter, limit));
        CHECK(page.images.size() <= limit);
        for (const ImageRecord& image : page.images)
            uuids.push_back(image.uuid);
        if (!page.next) return uuids;
        filter.after = page.next;
    }
}

std::vector<Uuid> numbers(std::vector<unsigned> wanted) {
    std::vector<Uuid> uuids;
    for (const unsigned number : wanted)
        uuids.push_back(numbered(number));
    return uuids;
}

SavedCall call_named(const char* name, std::int64_t begun_s, const char* process = "p") {
    return {.name = conf::sha256(name),
            .request = conf::sha256("request"),
            .process = process,
            .begun_s = begun_s};
}

const auto kNobodyEnded = [](std::string_view) { return false; };
const auto kAllEnded = [](std::string_view) { return true; };

}  // namespace

CATALOG_TEST("images are listed by UUID, a page at a time, by every filter", "[images]") {
    const TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    for (const unsigned number : {4U, 1U, 6U, 3U, 5U, 2U})
        value_of(catalog->put_image(
            numbered_image(number, number < 4 ? hot : cold, number % 2 == 0 ? "7" : "")));
    for (const std::size_t limit : {1U, 2U, 3U, 5U, 6U, 100U}) {
        for (const std::size_t looks : {1U, 2U, 4U, 100U}) {
            INFO(limit << " " << looks);
            const auto listed = [&](ImageFilter filter) {
                filter.looks = looks;
                return all_of(*catalog, filter, limit);
            };
            CHECK(listed({}) == numbers({1, 2, 3, 4, 5, 6}));
            CHECK(listed({.pool = hot}) == numbers({1, 2, 3}));
            CHECK(listed({.pool = cold}) == numbers({4, 5, 6}));
            CHECK(listed({.state = ImageRecord::State::failed}) == numbers({3, 6}));
            CHECK(listed({.owner = "7"}) == numbers({2, 4, 6}));
            CHECK(listed({.owner = "8"}).empty());
            CHECK(listed({.prefix = "uploads/original/2026/02/02/"}) == numbers({1, 3, 5}));
            CHECK(listed({.pool = cold, .owner = "7"}) == numbers({4, 6}));
            CHECK(listed({.after = numbered(4)}) == numbers({5, 6}));
        }
    }
    // A full page that is the last one says so.
    CHECK_FALSE(value_of(catalog->list_images({}, 6)).next);
    CHECK(value_of(catalog->list_images({.owner = "7"}, 1)).images.front() ==
          numbered_image(2, hot, "7"));
}

CATALOG_TEST("a call is begun once, and gives its answer after that", "[calls]") {
    const TestType backend;
    const auto catalog = backend.open();
    SavedCall call = call_named("a", kThen);
    CHECK_FALSE(value_of(catalog->begin_call(call, kNobodyEnded, 0)));
    CHECK(value_of(catalog->begin_call(call_named("a", kThen + 1), kNobodyEnded, 0)) == call);
    call.status = 201;
    call.answer = std::string("\0\xff bytes", 8);
    value_of(catalog->end_call(call));
    CHECK(value_of(catalog->begin_call(call_named("a", kThen + 1), kAllEnded, 0)) == call);
    CHECK_FALSE(value_of(catalog->begin_call(call_named("b", kThen), kNobodyEnded, 0)));
}

CATALOG_TEST("a call whose process died, or that is too old, is begun anew", "[calls]") {
    const TestType backend;
    const auto catalog = backend.open();
    SavedCall dead = call_named("a", kThen, "dead");
    value_of(catalog->begin_call(dead, kNobodyEnded, 0));
    SavedCall next = call_named("a", kThen + 5);
    CHECK_FALSE(value_of(catalog->begin_call(next, kAllEnded, 0)));
    // The one before has nothing to say any more.
    dead.status = 200;
    value_of(catalog->end_call(dead));
    value_of(catalog->drop_call(dead));
    CHECK(value_of(catalog->begin_call(dead, kNobodyEnded, 0)) == next);
    next.status = 200;
    value_of(catalog->end_call(next));
    CHECK_FALSE(value_of(catalog->begin_call(call_named("a", kThen + 9), kAllEnded, kThen + 6)));
    CHECK(value_of(catalog->forget_calls(kThen + 9)) == 0);
    CHECK(value_of(catalog->forget_calls(kThen + 10)) == 1);
}

CATALOG_TEST("a call that is dropped may be begun again", "[calls]") {
    const TestType backend;
    const auto catalog = backend.open();
    const SavedCall call = call_named("a", kThen);
    value_of(catalog->begin_call(call, kNobodyEnded, 0));
    value_of(catalog->drop_call(call));
    CHECK_FALSE(value_of(catalog->begin_call(call, kNobodyEnded, 0)));
}
