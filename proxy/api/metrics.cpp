#include "proxy/api/metrics.h"

#include "storage/job_control.h"

#include <array>
#include <chrono>
#include <ctime>
#include <fstream>
#include <initializer_list>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

namespace tidepool::api {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// Collects families; the table of what is watched is the calls below.
class Gatherer {
  public:
    void family(std::string name, std::string help, MetricType type) {
        families_.push_back({std::move(name), std::move(help), type, {}});
    }
    void value(double number, Labels labels = {}) {
        ClientMetric metric;
        metric.label = std::move(labels);
        if (families_.back().type == MetricType::Counter) {
            metric.counter.value = number;
        } else {
            metric.gauge.value = number;
        }
        families_.back().metric.push_back(std::move(metric));
    }
    void histogram(ClientMetric::Histogram histogram) {
        ClientMetric metric;
        metric.histogram = std::move(histogram);
        families_.back().metric.push_back(std::move(metric));
    }
    void counter(std::string name, std::string help, double number) {
        family(std::move(name), std::move(help), MetricType::Counter);
        value(number);
    }
    void gauge(std::string name, std::string help, double number) {
        family(std::move(name), std::move(help), MetricType::Gauge);
        value(number);
    }
    std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

  private:
    std::vector<MetricFamily> families_;
};

template <class Member>
double sum(const MetricSources& sources, Member member) {
    std::uint64_t total = 0;
    for (const http::Counters* counters : sources.counters)
        total += member(*counters).value();
    return static_cast<double>(total);
}

double resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::uint64_t pages = 0;
    std::uint64_t resident = 0;
    statm >> pages >> resident;
    return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void add_requests(Gatherer& out, const MetricSources& sources) {
    out.family("tidepool_http_requests_total",
               "Answered requests, by status class and where the answer came from.",
               MetricType::Counter);
    for (std::size_t status = 1; status < 6; ++status) {
        for (std::size_t source = 0; source < http::kSources; ++source) {
            const double count =
                sum(sources, [&](const auto& c) -> auto& { return c.requests[status][source]; });
            if (count == 0) continue;
            out.value(count, {{"class", std::to_string(status) + "xx"},
                              {"source", std::string(name(static_cast<http::Source>(source)))}});
        }
    }
    out.family("tidepool_http_refused_total",
               "Requests and connections turned away before their handler, by reason.",
               MetricType::Counter);
    for (std::size_t reason = 0; reason < http::kRefusals; ++reason) {
        out.value(sum(sources, [&](const auto& c) -> auto& { return c.refused[reason]; }),
                  {{"reason", std::string(name(static_cast<http::Refusal>(reason)))}});
    }
    out.family("tidepool_http_request_duration_seconds",
               "From a request's first byte to its answer's last.", MetricType::Histogram);
    ClientMetric::Histogram histogram;
    for (std::size_t i = 0; i <= http::kLatencyBoundsUs.size(); ++i) {
        histogram.sample_count += static_cast<std::uint64_t>(
            sum(sources, [&](const auto& c) -> auto& { return c.latency[i]; }));
        if (i < http::kLatencyBoundsUs.size()) {
            histogram.bucket.push_back(
                {histogram.sample_count, static_cast<double>(http::kLatencyBoundsUs[i]) / 1e6});
        }
    }
    histogram.sample_sum =
        sum(sources, [](const auto& c) -> auto& { return c.latency_sum_us; }) / 1e6;
    out.histogram(std::move(histogram));
    out.counter("tidepool_http_body_bytes_total", "Bytes of bodies sent.",
                sum(sources, [](const auto& c) -> auto& { return c.body_bytes; }));
    out.counter("tidepool_http_broken_answers_total", "Answers that did not reach their end.",
                sum(sources, [](const auto& c) -> auto& { return c.broken_answers; }));
    out.counter("tidepool_http_slow_readers_total",
                "Of the broken answers, those cut for timeouts.min_send_rate.",
                sum(sources, [](const auto& c) -> auto& { return c.slow_readers; }));
}

void add_lock(Gatherer& out, const MetricSources& sources) {
    const auto by_reason = [&](std::string name, std::string help, auto member) {
        out.family(std::move(name), std::move(help), MetricType::Counter);
        for (const serve::LockCheck check : serve::kLockChecks) {
            std::uint64_t total = 0;
            for (const serve::LockCounters* counters : sources.locks)
                total += (counters->*member)[static_cast<std::size_t>(check)].value();
            out.value(static_cast<double>(total), {{"reason", std::string(name_of(check))}});
        }
    };
    by_reason("tidepool_edge_refused_total",
              "Requests, and connections closed at once, that the origin lock shut out, by the "
              "first check that they failed.",
              &serve::LockCounters::refused);
    by_reason("tidepool_edge_would_refuse_total",
              "Requests that it let in as edge.lock is \"log\", by each check that they failed.",
              &serve::LockCounters::would_refuse);
}

void add_private(Gatherer& out, const MetricSources& sources) {
    out.family("tidepool_private_refused_total",
               "Requests for private images that were refused, by what was wrong with their "
               "signature.",
               MetricType::Counter);
    for (std::size_t i = 0; i < serve::kSignatureRefusals.size(); ++i) {
        std::uint64_t total = 0;
        for (const serve::PrivateCounters* counters : sources.private_images)
            total += counters->refused[i].value();
        out.value(static_cast<double>(total),
                  {{"reason", std::string(name_of(serve::kSignatureRefusals[i]))}});
    }
}

void add_guard(Gatherer& out, const MetricSources& sources) {
    const serve::GuardMemory::Usage usage = sources.guard->usage(sources.loops.front()->now_ms());
    out.counter("tidepool_hotlinks_refused_total",
                "Requests for images that another site's page made, by their Referer.",
                static_cast<double>(usage.hotlinks));
    out.family("tidepool_rate_limited_total",
               "Requests for images of clients that made too many, by the rule's prefix.",
               MetricType::Counter);
    for (const auto& [prefix, refused] : usage.over_rate)
        out.value(static_cast<double>(refused), {{"prefix", prefix}});
    out.gauge("tidepool_rate_limit_buckets",
              "Buckets of clients that are not full; of a table of more than 131072 an estimate.",
              static_cast<double>(usage.buckets));
    out.counter("tidepool_rate_limit_evictions_total",
                "Such buckets that were forgotten to make room: with many, rate_limits.table is "
                "too small.",
                static_cast<double>(usage.evictions));
}

void add_connections(Gatherer& out, const MetricSources& sources) {
    const double accepted = sum(sources, [](const auto& c) -> auto& { return c.accepted; });
    const double closed = sum(sources, [](const auto& c) -> auto& { return c.closed; });
    out.counter("tidepool_connections_accepted_total", "Connections accepted.", accepted);
    out.gauge("tidepool_connections", "Connections open now.", accepted - closed);
    out.counter("tidepool_connections_dropped_total",
                "Connections closed without an answer, being far above a limit.",
                sum(sources, [](const auto& c) -> auto& { return c.dropped; }));
    out.counter("tidepool_accept_errors_total",
                "Tries to accept that failed for want of descriptors or memory.",
                sum(sources, [](const auto& c) -> auto& { return c.accept_errors; }));
}

void add_handshakes(Gatherer& out, const MetricSources& sources) {
    out.family("tidepool_tls_handshakes_total",
               "TLS handshakes, by version and whether a ticket spared most of it.",
               MetricType::Counter);
    for (const std::size_t version : {0U, 1U}) {
        for (const std::size_t resumed : {0U, 1U}) {
            const double count = sum(
                sources, [&](const auto& c) -> auto& { return c.handshakes[version][resumed]; });
            out.value(count, {{"version", version == 1 ? "1.3" : "1.2"},
                              {"resumed", resumed == 1 ? "true" : "false"}});
        }
    }
    out.family("tidepool_tls_handshake_failures_total", "TLS handshakes that came to nothing.",
               MetricType::Counter);
    out.value(sum(sources, [](const auto& c) -> auto& { return c.handshakes_failed; }),
              {{"reason", "refused"}});
    out.value(sum(sources, [](const auto& c) -> auto& { return c.handshakes_timed_out; }),
              {{"reason", "timeout"}});
    out.value(sum(sources, [](const auto& c) -> auto& { return c.handshakes_closed; }),
              {{"reason", "closed"}});
}

void add_http2(Gatherer& out, const MetricSources& sources) {
    out.counter("tidepool_http2_connections_total", "Connections that speak HTTP/2.",
                sum(sources, [](const auto& c) -> auto& { return c.http2_connections; }));
    out.counter("tidepool_http2_requests_total", "Requests over HTTP/2.",
                sum(sources, [](const auto& c) -> auto& { return c.http2_requests; }));
    out.counter("tidepool_http2_resets_total", "Requests over HTTP/2 that clients took back.",
                sum(sources, [](const auto& c) -> auto& { return c.http2_resets; }));
    out.counter("tidepool_http2_floods_total",
                "Connections over HTTP/2 ended for what they sent to no purpose.",
                sum(sources, [](const auto& c) -> auto& { return c.http2_floods; }));
}

void add_cache(Gatherer& out, const MetricSources& sources) {
    const serve::FileCache::Usage usage = sources.finder->cache().usage();
    out.family("tidepool_cache_entries", "Entries of the file cache, by kind.", MetricType::Gauge);
    out.value(static_cast<double>(usage.memory_entries), {{"kind", "memory"}});
    out.value(static_cast<double>(usage.open_files), {{"kind", "file"}});
    out.value(static_cast<double>(usage.absent_entries), {{"kind", "absent"}});
    out.value(static_cast<double>(usage.remote_entries), {{"kind", "remote"}});
    out.value(static_cast<double>(sources.finder->remembered_digests()), {{"kind", "digest"}});
    out.gauge("tidepool_cache_memory_bytes",
              "Memory held by bodies in the cache, bookkeeping included.",
              static_cast<double>(usage.memory_bytes));
    out.counter("tidepool_cache_evictions_total", "Entries dropped to make room.",
                static_cast<double>(usage.evictions));
    out.counter("tidepool_type_refused_total",
                "Files not served because their type is not in types.allowed.",
                static_cast<double>(sources.finder->refused_types()));
    out.counter("tidepool_type_mismatch_total",
                "Files whose bytes are another type than their name claims.",
                static_cast<double>(sources.finder->mismatched_names()));
}

// The workers of the local pools, and those of the catalog and the shelf.
std::vector<const loop::WorkerPool*> worker_pools(const MetricSources& sources) {
    std::vector<const loop::WorkerPool*> all;
    for (const serve::FileFinder::Site* const site : *sources.finder->sites())
        all.push_back(&site->workers);
    serve::Stores& stores = sources.finder->stores();
    if (stores.catalog() != nullptr) all.push_back(&stores.catalog_workers());
    if (stores.shelf() != nullptr) all.push_back(stores.shelf_workers());
    return all;
}

template <class Value>
void add_by_bucket(Gatherer& out, const MetricSources& sources, std::string name, std::string help,
                   MetricType type, Value value) {
    const auto remotes = sources.finder->stores().remotes();
    if (remotes.empty()) return;
    out.family(std::move(name), std::move(help), type);
    for (const auto& pool : remotes)
        out.value(static_cast<double>(value(*pool)), {{"pool", pool->settings.name}});
}

void add_buckets(Gatherer& out, const MetricSources& sources) {
    using serve::RemotePool;
    const auto counter = [&](std::string name, std::string help, auto member) {
        add_by_bucket(out, sources, std::move(name), std::move(help), MetricType::Counter,
                      [member](const RemotePool& pool) { return (pool.*member).load(); });
    };
    counter("tidepool_origin_fetches_total", "Requests made to a bucket for clients.",
            &RemotePool::fetches);
    counter("tidepool_origin_failures_total",
            "Of these, the ones that did not give what was asked.", &RemotePool::failures);
    counter("tidepool_origin_resumed_total", "Bodies that broke and were gone on with.",
            &RemotePool::resumed);
    counter("tidepool_origin_mirrored_total",
            "Answers that another pool's copy gave, as this one did not.", &RemotePool::mirrored);
    counter("tidepool_origin_corrupt_total", "Contents that were not what the catalog says.",
            &RemotePool::corrupt);
    counter("tidepool_origin_missing_total", "Objects that a bucket has not, against the catalog.",
            &RemotePool::missing);
    counter("tidepool_origin_bytes_total", "Bytes of bodies that came from a bucket.",
            &RemotePool::bytes);
    add_by_bucket(out, sources, "tidepool_origin_breaker_open",
                  "1 while a bucket is not asked because it fails or is capped.", MetricType::Gauge,
                  [](const RemotePool& pool) {
                      const auto now = std::chrono::steady_clock::now();
                      return pool.gate.reads.state(now) == storage::Breaker::State::open ? 1 : 0;
                  });
    const auto remotes = sources.finder->stores().remotes();
    if (remotes.empty()) return;
    out.family("tidepool_budget_used", "What a bucket was used for since midnight UTC, by item.",
               MetricType::Gauge);
    static constexpr std::array<const char*, storage::kBudgetItems> kItems{
        "class_a_calls", "class_b_calls", "class_c_calls", "egress_bytes"};
    for (const auto& pool : remotes) {
        const storage::BudgetUse use = pool->gate.budget.use(std::time(nullptr));
        for (std::size_t item = 0; item < kItems.size(); ++item)
            out.value(static_cast<double>(use.used[item]),
                      {{"pool", pool->settings.name}, {"item", kItems[item]}});
    }
}

void add_authorizations(Gatherer& out, const MetricSources& sources) {
    auto remotes = sources.finder->stores().remotes();
    std::erase_if(remotes, [](const auto& pool) { return !pool->authorization; });
    if (remotes.empty()) return;
    const auto family = [&](std::string name, std::string help, MetricType type, auto value) {
        out.family(std::move(name), std::move(help), type);
        for (const auto& pool : remotes)
            out.value(static_cast<double>(value(*pool->authorization)),
                      {{"pool", pool->settings.name}});
    };
    using serve::DownloadAuthorization;
    family("tidepool_download_authorization_good_seconds",
           "For which the token of a private bucket is still good; 0 = it cannot be read.",
           MetricType::Gauge, [](const DownloadAuthorization& each) {
               return each.good_for(std::chrono::steady_clock::now()).count();
           });
    family("tidepool_download_authorization_rounds_total", "How often a token was asked for.",
           MetricType::Counter, [](const DownloadAuthorization& each) { return each.rounds(); });
    family("tidepool_download_authorization_failures_total", "Of these, how often none was got.",
           MetricType::Counter, [](const DownloadAuthorization& each) { return each.failures(); });
}

void add_stores(Gatherer& out, const MetricSources& sources) {
    const serve::Stores& stores = sources.finder->stores();
    if (stores.catalog() != nullptr) {
        out.counter("tidepool_catalog_adopted_total",
                    "Objects found in a pool and written into the catalog.",
                    static_cast<double>(stores.adopted()));
        out.counter("tidepool_catalog_not_adopted_total",
                    "Of these, the ones that could not be written and are found again later.",
                    static_cast<double>(stores.not_adopted()));
        out.counter("tidepool_catalog_inconsistencies_total",
                    "Times the catalog and a store disagreed on an object.",
                    static_cast<double>(stores.inconsistencies()));
    }
    if (const storage::Shelf* shelf = stores.shelf()) {
        const storage::Shelf::Usage usage = shelf->usage();
        out.gauge("tidepool_shelf_bytes", "Bytes on the shelf.", static_cast<double>(usage.bytes));
        out.gauge("tidepool_shelf_entries", "Objects and slices on the shelf.",
                  static_cast<double>(usage.entries));
        out.counter("tidepool_shelf_evictions_total", "Of these, taken off to make room.",
                    static_cast<double>(usage.evictions));
        out.counter("tidepool_shelf_evicted_bytes_total", "Their bytes.",
                    static_cast<double>(usage.evicted_bytes));
    }
}

void add_jobs(Gatherer& out, const MetricSources& sources) {
    if (sources.jobs == nullptr) return;
    const storage::JobRunner::Counters counters = sources.jobs->counters();
    out.counter("tidepool_jobs_done_total", "Background jobs that this process has done.",
                static_cast<double>(counters.done));
    out.counter("tidepool_jobs_failed_attempts_total", "Attempts that failed.",
                static_cast<double>(counters.failed));
    out.gauge("tidepool_jobs_running", "Background jobs that this process is at.",
              static_cast<double>(counters.running));
    const serve::JobChores::State state = sources.jobs->state();
    out.family("tidepool_jobs", "Background jobs in the catalog, by type and state.",
               MetricType::Gauge);
    for (const storage::JobCount& each : state.jobs) {
        out.value(static_cast<double>(each.count),
                  {{"type", each.type}, {"state", std::string(storage::name_of(each.state))}});
    }
    if (state.drift_bytes) {
        out.gauge(
            "tidepool_accounts_drift_bytes",
            "By how much the accounts of the pools differ from their rows; 0 where all is well.",
            static_cast<double>(*state.drift_bytes));
    }
}

void add_purges(Gatherer& out, const MetricSources& sources) {
    if (sources.jobs == nullptr) return;
    const serve::EdgePurge& edge = sources.jobs->edge();
    const serve::EdgePurge::Counters counters = edge.counters();
    out.counter("tidepool_purged_urls_total",
                "URLs that the edge was told to forget, each Origin's for itself.",
                static_cast<double>(counters.urls));
    out.counter("tidepool_purged_tags_total", "Tags, prefixes and whole zones of the same.",
                static_cast<double>(counters.others));
    using Met = serve::ZoneApi::Met;
    out.family("tidepool_purge_calls_total", "Calls of the edge's API, by what came of them.",
               MetricType::Counter);
    for (const auto& [met, name] :
         {std::pair{Met::done, "done"}, std::pair{Met::refused, "refused"},
          std::pair{Met::denied, "denied"}, std::pair{Met::limited, "limited"},
          std::pair{Met::failed, "failed"}})
        out.value(static_cast<double>(edge.calls(met)), {{"result", name}});
    out.counter("tidepool_purge_remembered_total",
                "Answers of the edge that showed what it had been told to forget.",
                static_cast<double>(counters.remembered));
    out.counter("tidepool_purge_unverified_total",
                "Purges that ended although the edge did not say what it remembers of it all.",
                static_cast<double>(counters.unverified));
    const serve::JobChores::State state = sources.jobs->state();
    const auto oldest_s = state.oldest_purge_s;
    out.gauge("tidepool_purge_oldest_seconds",
              "Age of the oldest purge that is not done, as of the last minute; 0 = there is none.",
              oldest_s ? static_cast<double>(std::time(nullptr) - *oldest_s) : 0);
    out.gauge("tidepool_purge_failing",
              "Purges that come again as their last attempt failed, as of the last minute.",
              static_cast<double>(state.failing_purges));
}

void add_tiering(Gatherer& out, const MetricSources& sources) {
    if (sources.views != nullptr) {
        out.counter("tidepool_views_total", "Views of images that were counted.",
                    static_cast<double>(sources.views->counted()));
        out.counter("tidepool_views_dropped_total",
                    "Views that found no room, or could not be written down.",
                    static_cast<double>(sources.views->dropped()));
    }
    if (sources.tiering == nullptr) return;
    const serve::TierWork::Counters counters = sources.tiering->counters();
    out.counter("tidepool_tier_sweeps_total", "Sweeps of the tiering policy.",
                static_cast<double>(counters.sweeps));
    out.counter("tidepool_tier_sweeps_failed_total", "Of these, the ones that failed.",
                static_cast<double>(counters.failed));
    out.counter("tidepool_tier_planned_total", "Moves that sweeps have planned.",
                static_cast<double>(counters.planned));
    out.family("tidepool_tier_queued_total", "Moves that sweeps have queued, by reason.",
               MetricType::Counter);
    for (std::size_t i = 0; i < storage::kTierReasons; ++i)
        out.value(static_cast<double>(counters.queued[i]),
                  {{"reason", std::string(name_of(static_cast<storage::TierReason>(i)))}});
    out.counter("tidepool_tier_queued_bytes_total", "Their bytes.",
                static_cast<double>(counters.queued_bytes));
    out.gauge("tidepool_tier_stopped",
              "1 while sweeps queue nothing, since too many of their moves have failed.",
              counters.is_stopped ? 1 : 0);
}

void add_uploads(Gatherer& out, const MetricSources& sources) {
    if (sources.uploads == nullptr) return;
    const UploadCounters& counters = *sources.uploads;
    out.family("tidepool_uploads_total", "Uploads that ended, by what became of them.",
               MetricType::Counter);
    out.value(static_cast<double>(counters.stored), {{"result", "stored"}});
    out.value(static_cast<double>(counters.duplicates), {{"result", "duplicate"}});
    out.value(static_cast<double>(counters.refused), {{"result", "refused"}});
    out.value(static_cast<double>(counters.failed), {{"result", "failed"}});
    out.counter("tidepool_upload_bytes_total", "Bytes of the originals that were stored.",
                static_cast<double>(counters.bytes));
    out.gauge("tidepool_uploads_running", "Uploads that are being received or stored.",
              static_cast<double>(counters.running));
}

void add_background(Gatherer& out, const MetricSources& sources) {
    const std::vector<const loop::WorkerPool*> pools = worker_pools(sources);
    out.family("tidepool_worker_queue", "Blocking calls that wait for a worker, by pool.",
               MetricType::Gauge);
    for (const loop::WorkerPool* pool : pools)
        out.value(static_cast<double>(pool->queued()), {{"pool", pool->name()}});
    out.family(
        "tidepool_worker_overdue",
        "Threads whose call takes longer than workers.wait_timeout, by pool; all of them: its disk "
        "hangs.",
        MetricType::Gauge);
    for (const loop::WorkerPool* pool : pools)
        out.value(static_cast<double>(pool->overdue()), {{"pool", pool->name()}});
    out.family("tidepool_worker_rejected_total",
               "Blocking calls refused because the queue was full, by pool.", MetricType::Counter);
    for (const loop::WorkerPool* pool : pools)
        out.value(static_cast<double>(pool->rejected()), {{"pool", pool->name()}});
    out.family("tidepool_loop_lag_seconds",
               "Longest delay of each loop's clock since the last scrape.", MetricType::Gauge);
    for (std::size_t i = 0; i < sources.loops.size(); ++i) {
        out.value(static_cast<double>(sources.loops[i]->take_worst_lag_ms()) / 1000.0,
                  {{"loop", std::to_string(i)}});
    }
    if (sources.access_log != nullptr) {
        out.counter("tidepool_access_log_lines_total", "Lines given to the access log.",
                    static_cast<double>(sources.access_log->lines()));
        out.counter("tidepool_access_log_dropped_total",
                    "Of these, lines lost to a full buffer or disk.",
                    static_cast<double>(sources.access_log->dropped()));
    }
    out.gauge("process_resident_memory_bytes", "Resident memory.", resident_bytes());
    out.family("tidepool_build_info", "Always 1; the label tells the version.", MetricType::Gauge);
    out.value(1, {{"version", sources.version}});
}

// Of the lanes in which variants are made.
void add_variants(Gatherer& out, const MetricSources& sources) {
    using serve::VariantCounters;
    if (sources.variants == nullptr) return;
    const serve::VariantMaker& maker = *sources.variants;
    constexpr std::array kLanes{serve::VariantLane::cheap, serve::VariantLane::dear};
    const auto each_lane = [&](auto add) {
        for (const serve::VariantLane lane : kLanes)
            add(std::string(name_of(lane)), maker.counters(lane));
    };
    const auto by_format = [&](const char* name, const char* help, auto member, double unit) {
        out.family(name, help, MetricType::Counter);
        each_lane([&](const std::string& lane, const VariantCounters& counters) {
            for (std::size_t i = 0; i < serve::kVariantFormats; ++i) {
                const auto count = static_cast<double>((counters.formats[i].*member).value());
                if (count == 0) continue;
                const auto format = static_cast<transform::Format>(i);
                out.value(count * unit, {{"lane", lane}, {"format", std::string(name_of(format))}});
            }
        });
    };
    using OfFormat = VariantCounters::OfFormat;
    by_format("tidepool_variants_made_total", "Variants made, by lane and format.", &OfFormat::made,
              1);
    by_format("tidepool_variants_seconds_total", "Time that workers took for them.",
              &OfFormat::time_us, 1e-6);
    by_format("tidepool_variants_source_bytes_total", "Bytes of their originals.",
              &OfFormat::source_bytes, 1);
    by_format("tidepool_variants_result_bytes_total", "Bytes of them.", &OfFormat::result_bytes, 1);
    by_format("tidepool_variants_larger_total", "Variants of more bytes than their original.",
              &OfFormat::larger, 1);

    const auto by_profile = [&](const char* name, const char* help, auto member, double unit) {
        out.family(name, help, MetricType::Counter);
        const std::size_t profiles = maker.profiles().size();
        for (std::size_t profile = 0; profile <= profiles; ++profile) {
            const std::string label =
                profile < profiles ? maker.profiles()[profile].name : "signed parameters";
            for (std::size_t i = 0; i < serve::kVariantFormats; ++i) {
                const auto format = static_cast<transform::Format>(i);
                const auto count =
                    static_cast<double>((maker.tally(profile, format).*member).value());
                if (count == 0) continue;
                out.value(count * unit,
                          {{"profile", label}, {"format", std::string(name_of(format))}});
            }
        }
    };
    using Tally = serve::VariantMaker::Tally;
    by_profile("tidepool_variant_profiles_made_total", "Variants made, by profile and format.",
               &Tally::made, 1);
    by_profile("tidepool_variant_profiles_seconds_total", "Time that workers took for them.",
               &Tally::time_us, 1e-6);

    const auto by_reason = [&](const char* name, const char* help, auto reasons) {
        out.family(name, help, MetricType::Counter);
        each_lane([&](const std::string& lane, const VariantCounters& counters) {
            for (const auto& [reason, member] : reasons) {
                out.value(static_cast<double>((counters.*member).value()),
                          {{"lane", lane}, {"reason", reason}});
            }
        });
    };
    using Reason = std::pair<const char*, http::Counter VariantCounters::*>;
    by_reason("tidepool_variants_failed_total", "Variants not made, by reason.",
              std::array{Reason{"undecodable", &VariantCounters::undecodable},
                         Reason{"too_large", &VariantCounters::too_large},
                         Reason{"other", &VariantCounters::failed}});
    for (const serve::VariantLane lane : kLanes) {
        out.value(static_cast<double>(maker.counters(lane).refused.value() + maker.refused(lane)),
                  {{"lane", std::string(name_of(lane))}, {"reason", "queue_full"}});
    }
    by_reason("tidepool_variant_workers_ended_total", "Worker processes replaced, by reason.",
              std::array{Reason{"crashed", &VariantCounters::crashed},
                         Reason{"killed", &VariantCounters::killed},
                         Reason{"recycled", &VariantCounters::recycled},
                         Reason{"not_started", &VariantCounters::start_failures}});
    using OfInspections = VariantCounters::OfInspections;
    using Outcome = std::pair<const char*, http::Counter OfInspections::*>;
    out.family("tidepool_inspections_total",
               "Originals looked at in worker processes, by what came of it.", MetricType::Counter);
    each_lane([&](const std::string& lane, const VariantCounters& counters) {
        for (const auto& [result, member] : std::array{Outcome{"done", &OfInspections::done},
                                                       Outcome{"unfit", &OfInspections::unfit},
                                                       Outcome{"failed", &OfInspections::failed}}) {
            out.value(static_cast<double>((counters.inspections.*member).value()),
                      {{"lane", lane}, {"result", result}});
        }
    });
    out.family("tidepool_inspections_seconds_total", "Time that workers took for them.",
               MetricType::Counter);
    each_lane([&](const std::string& lane, const VariantCounters& counters) {
        out.value(static_cast<double>(counters.inspections.time_us.value()) * 1e-6,
                  {{"lane", lane}});
    });
    out.family("tidepool_variants_waiting", "Jobs that wait for a worker.", MetricType::Gauge);
    each_lane([&](const std::string& lane, const VariantCounters& counters) {
        out.value(static_cast<double>(counters.waiting.load()), {{"lane", lane}});
    });
    out.family("tidepool_variants_running", "Jobs that workers are at.", MetricType::Gauge);
    each_lane([&](const std::string& lane, const VariantCounters& counters) {
        out.value(static_cast<double>(counters.running.load()), {{"lane", lane}});
    });
    out.counter("tidepool_variants_stored_total", "Variants stored beside their originals.",
                static_cast<double>(maker.stored()));
    out.counter("tidepool_variants_store_failures_total",
                "Variants that were made and answered, but could not be stored.",
                static_cast<double>(maker.store_failures()));
}

}  // namespace

std::string gather_metrics(const MetricSources& sources) {
    Gatherer out;
    add_requests(out, sources);
    add_lock(out, sources);
    add_private(out, sources);
    add_guard(out, sources);
    add_connections(out, sources);
    add_handshakes(out, sources);
    add_http2(out, sources);
    add_cache(out, sources);
    add_buckets(out, sources);
    add_authorizations(out, sources);
    add_stores(out, sources);
    add_variants(out, sources);
    add_jobs(out, sources);
    add_purges(out, sources);
    add_tiering(out, sources);
    add_uploads(out, sources);
    add_background(out, sources);
    return out.text();
}

}  // namespace tidepool::api
