#include "proxy/serve/edge_purge.h"

#include "conf/fault_point.h"
#include "conf/log.h"
#include "storage/job_owner.h"

#include <algorithm>
#include <ctime>
#include <deque>
#include <iterator>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

using storage::JobEnd;
using storage::PurgeWish;
using storage::VisitorUrl;
using Clock = std::chrono::steady_clock;

// Jobs that share an attempt. Their leases are not renewed, so it ends well before these do,
// whatever the last calls take.
constexpr std::size_t kJobsAtOnce = 100;
constexpr std::chrono::seconds kMostAttempt{120};
constexpr std::int64_t kPurgeLeaseS = 300;
// A thread of the jobs is not held up for longer by the zone's pace.
constexpr std::chrono::seconds kMostTurn{2};
// So often a purge is made again because nobody could be asked whether it was of use.
constexpr std::int64_t kVerifyTries = 5;
constexpr std::size_t kNamed = 3;  // of what was refused, in a text
// Items and URLs whose progress is remembered: at a few hundred bytes each, some ten MB. A purge of
// thousand named URLs with ten origins has twenty thousand.
constexpr std::size_t kMostProgress = 100'000;
constexpr std::int64_t kLeastDeletionWaitS = 5;
constexpr std::int64_t kMostDeletionWaitS = 3600;

std::int64_t purge_clock_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::string_view host_of(std::string_view url) {
    const std::size_t scheme = url.find("://");
    return url.substr(0, scheme == url.npos ? 0 : url.find('/', scheme + 3));
}

Error unsaid_of(const VisitorUrl& url, const EdgeGlance& glance) {
    return {
        ErrorKind::busy,
        fmt::format("{}{}{}: the edge answers {}{}{}, which says nothing of what it remembers",
                    url.url, url.origin.empty() ? "" : " for Origin ", url.origin, glance.status,
                    glance.cache_status.empty() ? "" : " ", glance.cache_status)};
}

}  // namespace

// A job, and what it is about.
struct EdgePurge::Task {
    storage::JobRecord job;
    PurgeWish wish{};
    std::set<ZoneItem> items{};
    std::vector<std::string> keys{};
    std::vector<VisitorUrl> named{};  // as URLs, each with all origins
    bool is_being_deleted = false;
    PurgeProgress::Progress progress{};
};

EdgePurge::EdgePurge(storage::Catalog& catalog, storage::DriverSet& drivers,
                     const conf::Settings& settings, VariantsOf variants_of)
    : catalog_(catalog),
      drivers_(drivers),
      settings_(settings.purge),
      variants_of_(std::move(variants_of)),
      signed_(SignedVariants::of(settings.variants, settings.server.url_prefix)),
      owner_(storage::new_job_owner()),
      api_(settings.purge),
      progress_(kMostProgress),
      tags_{CacheTags(settings.edge)},
      places_(storage::visitor_places(settings)) {}

void EdgePurge::change_edge(const conf::EdgeSettings& edge) {
    const CacheTags tags(edge);
    const std::lock_guard lock(edge_mutex_);
    if (std::ranges::find(tags_, tags) == tags_.end()) tags_.push_back(tags);
    for (std::string& host : storage::named_hosts(edge)) {
        if (std::ranges::find(places_.hosts, host) == places_.hosts.end())
            places_.hosts.push_back(std::move(host));
    }
}

void EdgePurge::ask_to_stop() {
    stopping_ = true;
    api_.stop();
}

EdgePurge::Counters EdgePurge::counters() const {
    return {.urls = urls_, .others = others_, .remembered = remembered_, .unverified = unverified_};
}

bool EdgePurge::goes_on(const Attempt& attempt) const {
    return !stopping_ && attempt.run.goes_on() && Clock::now() < attempt.until;
}

JobEnd EdgePurge::purge(storage::JobRun& run) {
    const Attempt attempt{run, Clock::now() + kMostAttempt};
    std::vector<Task> tasks = take_more(run.job().lane, kJobsAtOnce - 1);
    tasks.insert(tasks.begin(), Task{.job = run.job()});
    fault_point("purge.begun");
    std::map<storage::JobId, JobEnd> ends;
    std::set<ZoneItem> items;
    for (Task& task : tasks) {
        if (const auto ready = prepare(task); !ready) {
            ends.emplace(task.job.id, JobEnd::failed(ready.error()));
            continue;
        }
        for (const ZoneItem& item : task.items) {
            if (!task.progress.told_ms.contains(item)) items.insert(item);
        }
    }
    Outcomes outcomes;
    tell_all(attempt, std::move(items), outcomes);
    fault_point("purge.told");
    for (Task& task : tasks) {
        if (!ends.contains(task.job.id)) ends.emplace(task.job.id, end_of(attempt, task, outcomes));
    }
    for (const Task& task : tasks) {
        if (task.job.id == run.job().id) continue;
        const auto ended = storage::end_job(catalog_, task.job, ends.at(task.job.id));
        if (!ended)
            conf::log_warn("job not ended id={} reason=\"{}\"", task.job.id, ended.error().text);
        fault_point("purge.ended");
    }
    return ends.at(run.job().id);
}

// Other purges of the lane that are due. Where they cannot be had somebody takes them later.
std::vector<EdgePurge::Task> EdgePurge::take_more(const std::string& lane, std::size_t most) {
    // By a name of this taking alone, with the process in it, so that it is seen where that ends.
    const std::string owner = fmt::format("{}.{}", owner_, ++takes_);
    const storage::Catalog::LaneWant want{lane, most};
    auto jobs = catalog_.take_jobs({&want, 1}, owner, std::time(nullptr), kPurgeLeaseS);
    std::vector<Task> tasks;
    if (!jobs) {
        conf::log_warn("no further purge taken reason=\"{}\"", jobs.error().text);
        return tasks;
    }
    for (storage::JobRecord& job : *jobs)
        tasks.push_back({.job = std::move(job)});
    return tasks;
}

// --- what is to be forgotten

storage::VisitorPlaces EdgePurge::places() const {
    std::unique_lock lock(edge_mutex_);
    storage::VisitorPlaces places = places_;
    lock.unlock();
    for (const storage::KnownPool& pool : drivers_.pools())
        storage::add_pool(places, pool.settings);
    return places;
}

// What was known when it was asked for, what is known now, and what the image can have besides.
Result<std::vector<std::string>> EdgePurge::keys_of(const PurgeWish& wish) {
    std::set<std::string> keys(wish.keys.begin(), wish.keys.end());
    if (wish.is_whole && wish.image) {
        const auto rows = catalog_.objects_of(*wish.image);
        if (!rows) return std::unexpected(rows.error());
        for (const storage::ObjectRecord& row : *rows)
            keys.insert(row.key);
    }
    for (const std::string& key : std::vector(keys.begin(), keys.end())) {
        const storage::ImageKey parsed = storage::parse_image_key(key);
        if (wish.is_whole && parsed.role == storage::Role::original) {
            for (std::string& variant : variants_of_(key))
                keys.insert(std::move(variant));
        }
        if (!signed_) continue;
        for (std::string& order : signed_->orders_of(key))
            keys.insert(std::move(order));
    }
    return std::vector(keys.begin(), keys.end());
}

// As things are now: what was asked for may be long ago. Where visitors are not refused, only of
// what is stored is asked: asking for another variant would have it made.
Result<EdgePurge::Expected> EdgePurge::expected_of(const Task& task) {
    Expected expected{.urls = task.named};
    if (task.keys.empty()) return expected;
    // They are of one image, or one key.
    const auto is_refused = storage::is_refused_now(catalog_, drivers_.pools(), task.keys.front());
    if (!is_refused) return std::unexpected(is_refused.error());
    expected.is_refused = *is_refused;
    std::vector<std::string> keys;
    for (const std::string& key : task.keys) {
        if (!expected.is_refused) {
            const auto row = catalog_.find(key);
            if (!row) return std::unexpected(row.error());
            if (!*row) continue;
        }
        keys.push_back(key);
    }
    for (VisitorUrl& url : storage::visitor_urls(places(), keys))
        expected.urls.push_back(std::move(url));
    return expected;
}

Result<void> EdgePurge::prepare(Task& task) {
    auto wish = storage::purge_wish(task.job);
    if (!wish) return std::unexpected(std::move(wish.error()));
    task.wish = std::move(*wish);
    task.progress = progress_.of(task.job.id, task.wish.asked);
    if (task.wish.image) {
        const auto is_deleted = catalog_.is_deleted(*task.wish.image);
        if (!is_deleted) return std::unexpected(is_deleted.error());
        // Its row goes last, also where the deletion has failed and waits for somebody.
        const auto row = catalog_.find_image(*task.wish.image);
        if (!row) return std::unexpected(row.error());
        task.is_being_deleted = *is_deleted && row->has_value();
    }
    auto keys = keys_of(task.wish);
    if (!keys) return std::unexpected(std::move(keys.error()));
    task.keys = std::move(*keys);
    using Kind = ZoneItem::Kind;
    using By = conf::PurgeSettings::By;
    // What has no image has no tag.
    if (settings_.by != By::urls && task.wish.image) add_tags(*task.wish.image, task.items);
    if (settings_.by != By::tags || !task.wish.image) {
        for (VisitorUrl& url : storage::visitor_urls(places(), task.keys))
            task.items.insert({Kind::url, std::move(url.url), std::move(url.origin)});
    }
    for (const std::string& named : task.wish.urls) {
        for (VisitorUrl& url : storage::with_origins(named, settings_.origins)) {
            task.named.push_back(url);
            task.items.insert({Kind::url, std::move(url.url), std::move(url.origin)});
        }
    }
    for (const std::string& tag : task.wish.tags)
        task.items.insert({Kind::tag, tag});
    for (const std::string& prefix : task.wish.prefixes)
        task.items.insert({Kind::prefix, prefix});
    if (task.wish.is_everything) task.items.insert({Kind::everything});
    return {};
}

void EdgePurge::add_tags(const storage::Uuid& image, std::set<ZoneItem>& items) const {
    const std::lock_guard lock(edge_mutex_);
    for (const CacheTags& tags : tags_) {
        if (tags.names_images()) items.insert({ZoneItem::Kind::tag, tags.of_image(image)});
    }
}

// --- telling the edge

void EdgePurge::tell_all(const Attempt& attempt, std::set<ZoneItem> items, Outcomes& outcomes) {
    while (!items.empty()) {
        const ZoneItem::Kind kind = items.begin()->kind;
        const auto end =
            std::ranges::find_if(items, [kind](const ZoneItem& item) { return item.kind != kind; });
        std::vector<ZoneItem> same(items.begin(), end);
        items.erase(items.begin(), end);
        const auto refusal = tell_kind(attempt, std::move(same), outcomes);
        if (!refusal) continue;
        // Whoever may not purge may not purge anything.
        for (const ZoneItem& item : items)
            outcomes[item].error = refusal;
        return;
    }
}

// An error: the API refuses whatever we ask for, not these alone.
std::optional<Error> EdgePurge::tell_kind(const Attempt& attempt, std::vector<ZoneItem> items,
                                          Outcomes& outcomes) {
    const ZoneItem::Kind kind = items.front().kind;
    const std::size_t most = api_.items_per_call(kind);
    const bool is_takedown = attempt.run.job().lane == storage::kTakedownLane;
    std::deque<std::vector<ZoneItem>> calls;
    for (std::size_t at = 0; at < items.size(); at += most) {
        const auto first = items.begin() + static_cast<std::ptrdiff_t>(at);
        const auto count = static_cast<std::ptrdiff_t>(std::min(most, items.size() - at));
        calls.emplace_back(std::make_move_iterator(first), std::make_move_iterator(first + count));
    }
    const auto leave = [&](const Outcome& outcome) {
        for (const auto& call : calls) {
            for (const ZoneItem& item : call)
                outcomes[item] = outcome;
        }
    };
    while (!calls.empty()) {
        if (!goes_on(attempt)) {
            leave({.wait_s = 1});
            return std::nullopt;
        }
        if (const auto wait_s = api_.wait_for_turn(kind, kMostTurn, is_takedown); wait_s > 0) {
            leave({.wait_s = wait_s});
            return std::nullopt;
        }
        std::vector<ZoneItem> call = std::move(calls.front());
        calls.pop_front();
        const std::int64_t told_ms = purge_clock_ms();
        const auto told = api_.purge(call);
        fault_point("purge.called");
        if (told) {
            for (const ZoneItem& item : call)
                outcomes[item] = {.told_ms = told_ms};
            (kind == ZoneItem::Kind::url ? urls_ : others_) += call.size();
        } else if (!told.error().is_of_an_item) {
            calls.push_front(std::move(call));
            const Error& error = told.error().error;
            leave({.error = error});
            return error.may_retry() ? std::nullopt : std::optional(error);
        } else if (call.size() == 1) {
            Error error = told.error().error;
            error.text = name_of(call.front()) + ": " + error.text;
            outcomes[call.front()] = {.error = std::move(error), .is_refused_item = true};
        } else {
            // Which of them it is, the API does not say for sure.
            const auto middle = call.begin() + static_cast<std::ptrdiff_t>(call.size() / 2);
            calls.emplace_front(middle, call.end());
            calls.emplace_front(call.begin(), middle);
        }
    }
    return std::nullopt;
}

// --- what becomes of a job

JobEnd EdgePurge::end_of(const Attempt& attempt, Task& task, const Outcomes& outcomes) {
    std::optional<Error> error;
    std::vector<Error> refused;
    std::int64_t wait_s = 0;
    for (const ZoneItem& item : task.items) {
        const auto found = outcomes.find(item);
        if (found == outcomes.end()) continue;  // in an earlier attempt
        const Outcome& outcome = found->second;
        if (outcome.told_ms > 0) task.progress.told_ms[item] = outcome.told_ms;
        wait_s = std::max(wait_s, outcome.wait_s);
        if (!outcome.error) continue;
        if (outcome.is_refused_item) {
            refused.push_back(*outcome.error);
        } else if (!error || error->may_retry()) {
            error = outcome.error;
        }
    }
    if (error || wait_s > 0) {
        progress_.keep(task.job.id, task.progress);
        if (error) return JobEnd::failed(std::move(*error));
        return stopping_ ? JobEnd::interrupted() : JobEnd::put_off(wait_s);
    }
    if (auto end = verify(attempt, task)) return std::move(*end);
    progress_.forget(task.job.id);
    if (!refused.empty()) {
        Error all = refused.front();
        for (std::size_t i = 1; i < std::min(kNamed, refused.size()); ++i)
            all.text += "; " + refused[i].text;
        if (refused.size() > kNamed)
            all.text += fmt::format("; and {} more", refused.size() - kNamed);
        return JobEnd::failed(std::move(all));
    }
    const auto again_s = wait_for_deletion(task);
    if (!again_s) return JobEnd::failed(again_s.error());
    if (*again_s) return JobEnd::put_off(**again_s);
    conf::log_info("purged job={} items={}{}", task.job.id, task.items.size(),
                   task.wish.image ? " image=" + storage::to_text(*task.wish.image) : "");
    return JobEnd::done();
}

// Nothing: the edge has forgotten all of it, or is not asked.
std::optional<JobEnd> EdgePurge::verify(const Attempt& attempt, Task& task) {
    if (!settings_.verify) return std::nullopt;
    // Before it is known that no later purge waits: a change since then has queued one.
    const auto expected = expected_of(task);
    if (!expected) return JobEnd::failed(expected.error());
    const auto is_for_later = storage::has_later_purge(catalog_, task.job);
    if (!is_for_later) return JobEnd::failed(is_for_later.error());
    if (*is_for_later) return std::nullopt;
    // What was seen while another answer was right says nothing.
    if (task.progress.is_refused != expected->is_refused) task.progress.verified.clear();
    task.progress.is_refused = expected->is_refused;
    std::int64_t told_ms = purge_clock_ms();
    for (const auto& [item, at_ms] : task.progress.told_ms)
        told_ms = std::min(told_ms, at_ms);
    std::optional<Error> unreached;
    std::set<std::string, std::less<>> silent_hosts;
    for (const VisitorUrl& url : expected->urls) {
        if (task.progress.verified.contains(url) || silent_hosts.contains(host_of(url.url)))
            continue;
        if (!goes_on(attempt)) {
            progress_.keep(task.job.id, task.progress);
            return stopping_ ? JobEnd::interrupted() : JobEnd::put_off(1);
        }
        const auto glance = api_.look(url);
        if (!glance) {
            unreached = glance.error();
            silent_hosts.emplace(host_of(url.url));
            continue;
        }
        const auto item = task.progress.told_ms.find({ZoneItem::Kind::url, url.url, url.origin});
        const std::int64_t since_ms = item == task.progress.told_ms.end() ? told_ms : item->second;
        const EdgeMemory memory = judge_memory(*glance, since_ms, expected->is_refused);
        if (memory == EdgeMemory::unsaid) {
            unreached = unsaid_of(url, *glance);
            // What a rule of the zone refuses may be this one alone.
            if (says_of_all(glance->status)) silent_hosts.emplace(host_of(url.url));
            continue;
        }
        if (memory != EdgeMemory::forgotten) {
            ++remembered_;
            progress_.forget(task.job.id);
            return JobEnd::failed(
                {ErrorKind::busy,
                 fmt::format("{}{}{} after its purge, so it is purged again: {}{}{}", url.url,
                             url.origin.empty() ? "" : " for Origin ", url.origin,
                             memory == EdgeMemory::shown ? "visitors get an answer "
                                                         : "the edge has the old answer ",
                             glance->status,
                             glance->cache_status.empty() ? "" : " " + glance->cache_status)});
        }
        task.progress.verified.insert(url);
    }
    fault_point("purge.verified");
    if (!unreached) return std::nullopt;
    if (task.job.attempts < kVerifyTries) {
        progress_.keep(task.job.id, task.progress);
        return JobEnd::failed(std::move(*unreached));
    }
    ++unverified_;
    conf::log_warn("purged, and nobody says whether it was of use job={} reason=\"{}\"",
                   task.job.id, unreached->text);
    return std::nullopt;
}

// A bucket that visitors reach past us refuses nobody before the deletion is done with it, and the
// edge may have asked it meanwhile: until then the purge comes back, ever more seldom.
Result<std::optional<std::int64_t>> EdgePurge::wait_for_deletion(const Task& task) {
    if (!task.is_being_deleted) return std::nullopt;
    const auto pools = drivers_.pools();
    const bool is_passed_by = std::ranges::any_of(pools, [](const storage::KnownPool& pool) {
        return !pool.settings.bucket.empty() && !pool.settings.public_base_url.empty();
    });
    if (!is_passed_by) return std::nullopt;
    return std::clamp((std::time(nullptr) - task.job.created_s) / 2, kLeastDeletionWaitS,
                      kMostDeletionWaitS);
}

}  // namespace tidepool::serve
