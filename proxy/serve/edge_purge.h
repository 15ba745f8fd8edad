// Makes the edge forget what visitors must not see any more: the handler of "purge" jobs.
#pragma once

#include "conf/settings.h"
#include "proxy/serve/cache_tags.h"
#include "proxy/serve/purge_progress.h"
#include "proxy/serve/signed_variants.h"
#include "proxy/serve/zone_api.h"
#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/job_runner.h"
#include "storage/purge_job.h"
#include "storage/visitor_urls.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace tidepool::serve {

// Whoever runs it takes along what other purges are due, so that they share calls. What a call
// could not be made for comes back, and goes on where it was; what the edge still has afterwards is
// purged again. Any thread.
class EdgePurge {
  public:
    using VariantsOf = std::function<std::vector<std::string>(const std::string& original)>;
    // Catalog and drivers outlive it. Without a zone it is given no jobs.
    EdgePurge(storage::Catalog& catalog, storage::DriverSet& drivers,
              const conf::Settings& settings, VariantsOf variants_of);

    storage::JobEnd purge(storage::JobRun& run);
    // Answers have the tags of these settings and are given for their hosts from now on. Those of
    // before are purged as well, as the edge may hold answers with them.
    void change_edge(const conf::EdgeSettings& edge);
    // Those that run end after their call. Never blocks.
    void ask_to_stop();

    struct Counters {
        std::uint64_t urls = 0;        // that were purged, each entry for an Origin for itself
        std::uint64_t others = 0;      // tags, prefixes, or everything
        std::uint64_t remembered = 0;  // answers of the edge that showed what was purged
        std::uint64_t unverified = 0;  // purges that end without a word of the edge
    };
    Counters counters() const;
    std::uint64_t calls(ZoneApi::Met met) const { return api_.calls(met); }

  private:
    // What became of an item in this attempt.
    struct Outcome {
        std::int64_t told_ms = 0;      // 0 = the edge was not told
        std::optional<Error> error{};  // why not
        bool is_refused_item = false;  // the error is this item's own
        std::int64_t wait_s = 0;       // until it is worth a try, where there was no time
    };
    using Outcomes = std::map<ZoneItem, Outcome>;
    struct Task;
    // What visitors are to see once the edge has forgotten.
    struct Expected {
        std::vector<storage::VisitorUrl> urls{};
        bool is_refused = false;  // none of them anything
    };
    // One attempt: until when it goes on, and who it is for.
    struct Attempt {
        storage::JobRun& run;
        std::chrono::steady_clock::time_point until;
    };

    bool goes_on(const Attempt& attempt) const;
    std::vector<Task> take_more(const std::string& lane, std::size_t most);
    Result<void> prepare(Task& task);
    void add_tags(const storage::Uuid& image, std::set<ZoneItem>& items) const;
    storage::VisitorPlaces places() const;
    Result<std::vector<std::string>> keys_of(const storage::PurgeWish& wish);
    Result<Expected> expected_of(const Task& task);
    void tell_all(const Attempt& attempt, std::set<ZoneItem> items, Outcomes& outcomes);
    std::optional<Error> tell_kind(const Attempt& attempt, std::vector<ZoneItem> items,
                                   Outcomes& outcomes);
    storage::JobEnd end_of(const Attempt& attempt, Task& task, const Outcomes& outcomes);
    std::optional<storage::JobEnd> verify(const Attempt& attempt, Task& task);
    Result<std::optional<std::int64_t>> wait_for_deletion(const Task& task);

    storage::Catalog& catalog_;
    storage::DriverSet& drivers_;
    const conf::PurgeSettings settings_;
    const VariantsOf variants_of_;
    const std::shared_ptr<const SignedVariants> signed_;  // null: there are none
    const std::string owner_;
    ZoneApi api_;
    std::atomic<bool> stopping_ = false;
    std::atomic<std::uint64_t> takes_ = 0;
    PurgeProgress progress_;
    mutable std::mutex edge_mutex_;
    std::vector<CacheTags> tags_;    // that answers have had, as far as we know
    storage::VisitorPlaces places_;  // that settings have named, pools aside
    std::atomic<std::uint64_t> urls_ = 0;
    std::atomic<std::uint64_t> others_ = 0;
    std::atomic<std::uint64_t> remembered_ = 0;
    std::atomic<std::uint64_t> unverified_ = 0;
};

}  // namespace tidepool::serve
