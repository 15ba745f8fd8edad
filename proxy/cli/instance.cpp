#include "proxy/cli/instance.h"

#include "conf/log.h"
#include "proxy/api/settings_api.h"
#include "proxy/cli/descriptor_limit.h"
#include "proxy/loop/precedence.h"
#include "proxy/serve/hidden_prefix.h"
#include "storage/purge_job.h"
#include "storage/visitor_urls.h"

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <semaphore>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pthread.h>
#include <unistd.h>

namespace tidepool::cli {

namespace {

// How often the admin listener, while draining, looks whether the last connection has gone.
constexpr std::uint64_t kDrainLookMs = 50;
// How long a change of the configuration waits for a loop to take it over.
constexpr std::chrono::seconds kLoopPatience{5};

void log_lock(const serve::OriginLock* lock) {
    conf::log_info("origin lock {}", lock != nullptr ? lock->text() : "mode=off");
}

// Mode B, the friendly URLs of the buckets that are served, and variant 2 of the keys, those below
// images/ (contracts: pixelfox.md, Keys, paths and URLs).
std::vector<serve::UrlShape> more_shapes(const std::string& url_prefix,
                                         const std::vector<storage::KnownPool>& pools) {
    std::vector<std::string> buckets;
    for (const storage::KnownPool& known : pools) {
        const conf::PoolSettings& pool = known.settings;
        if (pool.storage_type == conf::PoolSettings::Type::s3 && pool.is_active)
            buckets.push_back(pool.bucket);
    }
    std::vector<serve::UrlShape> shapes;
    for (const std::string& path : storage::image_paths(url_prefix, buckets)) {
        if (path == url_prefix) continue;
        const bool is_of_bucket = path != "/images/";
        shapes.push_back({path, is_of_bucket ? path.size() - 1 : 0});
    }
    return shapes;
}

}  // namespace

struct Instance::LoopThread {
    loop::Loop loop;
    http::Fetcher fetcher;
    serve::FileHandler handler;
    upload::PublicHandler listener;
    http::Server server;
    std::thread thread;

    LoopThread(Instance& instance, const conf::Settings& settings, serve::AccessLogWriter* log)
        : fetcher(loop, settings.origin.connections),
          handler(loop, instance.finder_, instance.origin_, fetcher, instance.handler_rules(), log),
          listener(loop, handler),
          server(loop, listener, instance.counts_, instance.server_rules(settings)) {
        listener.change_lock(instance.lock_);
        const auto is_secure = [](const conf::PoolSettings& pool) {
            return pool.endpoint_url.starts_with("https://");
        };
        if (std::ranges::any_of(settings.pools, is_secure)) fetcher.prepare_tls();
    }
};

Instance::Instance(api::SettingsInForce loaded, OpenedStores stores,
                   std::shared_ptr<const tls::Context> tls, std::unique_ptr<serve::AccessLog> log,
                   unsigned loops, int done_fd)
    : loaded_(std::move(loaded)),
      in_force_{fit_to_descriptors(loaded_.settings), loaded_.overridden},
      url_prefix_(loaded_.settings.server.url_prefix),
      loop_id_(loaded_.settings.origin.loop_id),
      stores_(std::move(stores.stores)),
      registry_(std::move(stores.registry)),
      settings_registry_(std::move(stores.settings)),
      pools_(std::move(stores.pools)),
      tls_(std::move(tls)),
      range_limit_(loaded_.settings.limits.ranges),
      rules_(serve::serve_rules(loaded_.settings)),
      signed_variants_(serve::SignedVariants::of(loaded_.settings.variants, url_prefix_)),
      lock_(serve::OriginLock::of(loaded_.settings.edge)),
      guard_(serve::RequestGuard::of(in_force_.settings, pools_, guard_memory_)),
      finder_(in_force_.settings, rules_, *stores_),
      origin_(loaded_.settings.origin, loaded_.settings.shelf.slice_bytes, stores_->shelf(),
              stores_->shelf_workers()),
      log_(std::move(log)),
      done_fd_(done_fd) {
    const conf::Settings& settings = in_force_.settings;  // there is no other thread yet
    origin_.on_filled([this](const serve::RemoteObject& object, serve::FillEnd end) {
        on_filled(object, std::move(end));
    });
    if (lock_) log_lock(lock_.get());
    stores_->use_pools(pools_);
    finder_.use_pools(pools_);
    api::MetricSources sources;
    sources.finder = &finder_;
    sources.access_log = log_.get();
    sources.guard = guard_memory_.get();
    sources.version = TIDEPOOL_VERSION;
    for (unsigned i = 0; i < loops; ++i) {
        serve::AccessLogWriter* const writer = log_ ? &log_->writer(i) : nullptr;
        loops_.push_back(std::make_unique<LoopThread>(*this, settings, writer));
        sources.counters.push_back(&loops_.back()->server.counters());
        sources.locks.push_back(&loops_.back()->listener.lock_counters());
        sources.private_images.push_back(&loops_.back()->handler.private_counters());
        sources.loops.push_back(&loops_.back()->loop);
    }
    // Uploads need it to look at what comes.
    if (settings.variants.on_demand || !settings.upload.token_secret.empty() ||
        !settings.upload.token_secret_previous.empty()) {
        LoopThread& first = *loops_.front();
        variants_ = std::make_unique<serve::VariantMaker>(
            serve::Origin::Place{first.loop, first.fetcher}, finder_, origin_, settings);
        if (stores_->catalog() != nullptr) {
            variant_jobs_ = std::make_unique<serve::VariantJobs>(first.loop, *stores_, *variants_);
        }
        for (const auto& loop : loops_)
            loop->handler.use_variants(*variants_);
        sources.variants = variants_.get();
    }
    make_jobs(settings);
    make_uploads(settings);
    make_tiering(settings);
    sources.jobs = jobs_.get();
    sources.views = views_.get();
    sources.tiering = tiering_.get();
    if (uploads_) sources.uploads = &uploads_->counters();
    admin_handler_ = std::make_unique<api::AdminHandler>(
        std::move(sources), api::ApiMeans{.pools = registry_.get(),
                                          .images = image_means(),
                                          .drivers = drivers_.get(),
                                          .settings = [this] { return settings_in_force(); },
                                          .changeable = settings_registry_.get(),
                                          .has_zone = !settings.purge.zone_id.empty(),
                                          .token = settings.admin.token,
                                          .request_body_bytes = settings.admin.request_body_bytes,
                                          .pools_changed =
                                              [this] {
                                                  refresh_pools();
                                                  wait_for_loops();
                                              },
                                          .settings_changed =
                                              [this] {
                                                  refresh_settings();
                                                  wait_for_loops();
                                              }});
    admin_ = std::make_unique<http::Server>(loops_.front()->loop, *admin_handler_, admin_counts_,
                                            server_rules(settings));
    stores_->on_foreign_change([this] {
        refresh_settings();
        refresh_pools();
    });
    stores_->on_eviction([this] { finder_.cache().drop_unlinked(); });
}

void Instance::make_jobs(const conf::Settings& settings) {
    storage::Catalog* const catalog = stores_->catalog();
    if (catalog == nullptr) return;
    drivers_ = std::make_unique<storage::DriverSet>(*catalog, url_prefix_.substr(1));
    follow_pools();
    jobs_ = std::make_unique<serve::JobWork>(
        settings, *catalog, *drivers_, stores_->shelf(),
        [this](const std::vector<std::string>& keys) { on_changed(keys); });
}

// What hangs on the pools behind the catalog.
void Instance::follow_pools() {
    if (!drivers_) return;
    drivers_->use_pools(pools_);
    stores_->catalog()->follow_outdated(storage::purge_follower(in_force_.settings, pools_));
}

void Instance::make_uploads(const conf::Settings& settings) {
    storage::Catalog* const catalog = stores_->catalog();
    if (catalog == nullptr) return;
    const auto look = [this] {
        if (jobs_) jobs_->look();
    };
    uploads_ = std::make_unique<upload::UploadApi>(upload::UploadMeans{
        .settings = settings,
        .catalog = catalog,
        .drivers = drivers_.get(),
        .variants = variants_.get(),
        .catalog_workers = &stores_->catalog_workers(),
        .changed = [this](const std::vector<std::string>& keys) { on_changed(keys); },
        .queued = look,
        .cache_control = serve::cache_control_of(settings)});
    for (const auto& loop : loops_)
        loop->listener.use_uploads(*uploads_);
    if (jobs_) jobs_->also([this] { uploads_->renew(); });
    if (!jobs_ || !variants_) return;
    processing_ =
        std::make_unique<upload::Processing>(settings, *catalog, loops_.front()->loop, *variants_);
    const std::size_t most = settings.variants.cheap_workers + settings.variants.dear_workers;
    jobs_->handle(
        std::string(upload::kProcessType),
        [this](storage::JobRun& run) { return processing_->process(run); }, most);
}

api::SettingsInForce Instance::settings_in_force() {
    const std::lock_guard lock(rules_mutex_);
    return in_force_;
}

// Objects are somewhere else, or gone.
void Instance::on_changed(const std::vector<std::string>& keys) {
    stores_->note_change();
    for (const std::string& key : keys)
        finder_.changed(key);
}

api::ImageMeans Instance::image_means() {
    return {.catalog = stores_->catalog(),
            .deleted = [this](const std::vector<std::string>& keys) { on_changed(keys); },
            .visibility_changed =
                [this](const storage::Uuid& image) {
                    stores_->note_change();
                    finder_.image_changed(image);
                },
            .can_sign =
                [this] { return !settings_in_force().settings.private_images.signing_key.empty(); },
            .queued =
                [this] {
                    if (jobs_) jobs_->look();
                }};
}

void Instance::make_tiering(const conf::Settings& settings) {
    storage::Catalog* const catalog = stores_->catalog();
    if (catalog == nullptr) return;
    tiering_ = std::make_unique<serve::TierWork>(settings.tiering, *catalog, *drivers_, [this] {
        if (jobs_) jobs_->look();
    });
    if (settings.tiering.views_flush.count() == 0) return;
    views_ = std::make_unique<serve::ViewCounter>(settings.tiering,
                                                  static_cast<unsigned>(loops_.size()));
    for (unsigned i = 0; i < loops_.size(); ++i)
        loops_[i]->handler.count_views(views_->table(i));
}

Instance::~Instance() {
    stores_->on_foreign_change({});
    stores_->on_eviction({});
    for (const auto& loop : loops_) {
        if (loop->thread.joinable()) loop->thread.join();
    }
    admin_.reset();  // before the loop it lives on
    tiering_.reset();
    jobs_.reset();
    uploads_.reset();
    variant_jobs_.reset();
    variants_.reset();
}

http::Server::Rules Instance::server_rules(const conf::Settings& settings) const {
    return {settings.limits, settings.timeouts, settings.edge.trusted_ranges, tls_};
}

serve::HandlerRules Instance::handler_rules() const {
    return {.url_prefix = url_prefix_,
            .range_limit = range_limit_,
            .loop_id = loop_id_,
            .more_shapes = more_shapes(url_prefix_, pools_),
            .serve = rules_,
            .signed_variants = signed_variants_,
            .guard = guard_};
}

void Instance::push_handler_rules() {
    for (const auto& loop : loops_) {
        loop->loop.post([&loop = *loop, rules = handler_rules()]() mutable {
            loop.handler.change_rules(std::move(rules));
        });
    }
}

// Takes the pools as the registry has them now. Blocks on the catalog; any thread but a loop's.
void Instance::refresh_pools() {
    const std::lock_guard lock(rules_mutex_);
    auto pools = registry_->load();
    if (!pools) {
        conf::log_error("pools not read, the known ones are kept reason=\"{}\"",
                        pools.error().text);
        return;
    }
    if (*pools == pools_) return;
    pools_ = std::move(*pools);
    guard_ = serve::RequestGuard::of(in_force_.settings, pools_, guard_memory_);
    stores_->use_pools(pools_);
    finder_.use_pools(pools_);
    follow_pools();
    push_handler_rules();
    conf::log_info("pools taken over count={}", pools_.size());
}

// On the loop that fetched it. What was only known to be in a bucket is looked for anew: it is on
// the shelf now, or its content goes into memory.
void Instance::on_filled(const serve::RemoteObject& object, serve::FillEnd end) {
    if (end.error) return;
    finder_.filled(object, std::move(end));
}

void Instance::listen_on(const std::vector<ListenSocket>& sockets,
                         http::Server::Transport transport) {
    for (const ListenSocket& socket : sockets) {
        for (std::size_t i = 0; i < socket.fds.size(); ++i) {
            loops_[i % loops_.size()]->server.listen_on(socket.fds[i], transport,
                                                        socket.configured);
        }
        // Loops without a socket of their own share one.
        for (std::size_t i = socket.fds.size(); i < loops_.size(); ++i) {
            loops_[i]->server.listen_on(
                fcntl(socket.fds[i % socket.fds.size()], F_DUPFD_CLOEXEC, 0), transport,
                socket.configured);
        }
    }
}

void Instance::start(const std::vector<ListenSocket>& open, const std::vector<ListenSocket>& tls,
                     const std::vector<ListenSocket>& admin) {
    listen_on(open, http::Server::Transport::plain);
    listen_on(tls, http::Server::Transport::tls);
    for (const ListenSocket& socket : admin) {
        for (const int fd : socket.fds)
            admin_->listen_on(fd, http::Server::Transport::plain, socket.configured);
    }
    if (jobs_) jobs_->start_all();
    if (tiering_) tiering_->start();
    if (views_) views_->start(*stores_->catalog());
    running_ = static_cast<unsigned>(loops_.size());
    if (variants_) {
        loops_.front()->loop.post([this] {
            variants_->start();
            if (variant_jobs_) variant_jobs_->start();
        });
    }
    const conf::ServerSettings server = settings_in_force().settings.server;
    for (std::size_t i = 0; i < loops_.size(); ++i) {
        loops_[i]->thread = std::thread([this, i, &loop = loops_[i]->loop, server] {
            loop::ask_for_short_turns();
            const auto claimed = server.realtime ? loop.claim_precedence() : Result<void>();
            if (!claimed && i == 0)
                conf::log_info(
                    "loops are never real-time, which takes CAP_SYS_NICE or RLIMIT_RTPRIO "
                    "reason=\"{}\"",
                    claimed.error().text);
            if (server.io_uring) loop.open_ring();
            loop.run();
            if (running_.fetch_sub(1) > 1) return;
            const std::uint64_t one = 1;
            [[maybe_unused]] const ssize_t told =
                write(done_fd_, &one, sizeof one);  // an eventfd takes it always
        });
        pthread_setname_np(loops_[i]->thread.native_handle(), fmt::format("loop:{}", i).c_str());
    }
}

// Takes the settings as the catalog has them now. Blocks on it; any thread but a loop's.
void Instance::refresh_settings() {
    const std::lock_guard lock(rules_mutex_);
    api::SettingsInForce loaded = settings_registry_->load();
    if (loaded == loaded_) return;
    take_over(std::move(loaded));
    conf::log_info("settings taken over overridden=\"{}\"", fmt::join(in_force_.overridden, " "));
}

// Posts come to each loop in the order of what they take over, as the lock is held.
void Instance::take_over(api::SettingsInForce loaded) {
    loaded_ = std::move(loaded);
    const conf::Settings settings = fit_to_descriptors(loaded_.settings);
    const bool has_other_edge = !(settings.edge == in_force_.settings.edge);
    in_force_ = {api::after_reload(in_force_.settings, settings), loaded_.overridden};
    rules_ = serve::serve_rules(settings);
    signed_variants_ = serve::SignedVariants::of(settings.variants, url_prefix_);
    lock_ = serve::OriginLock::of(settings.edge);
    guard_ = serve::RequestGuard::of(in_force_.settings, pools_, guard_memory_);
    if (has_other_edge) log_lock(lock_.get());
    range_limit_ = settings.limits.ranges;
    finder_.change_rules(rules_);
    push_handler_rules();
    conf::TieringSettings& tiering = in_force_.settings.tiering;
    // Whether views are counted was settled at the start, and without them every image is idle.
    if (tiering_ && !views_ && tiering.enabled) {
        conf::log_error(
            "no sweeps until a restart: views were not counted at the start "
            "(tiering.views_flush)");
        tiering.enabled = false;
    }
    if (jobs_) jobs_->edge().change_edge(settings.edge);
    if (tiering_) tiering_->change(tiering);
    if (views_) views_->change(tiering);
    for (const auto& loop : loops_) {
        loop->loop.post([this, &loop = *loop, rules = server_rules(settings), lock = lock_] {
            loop.server.change_rules(rules);
            loop.listener.change_lock(lock);
            if (&loop == loops_.front().get()) admin_->change_rules(rules);
        });
    }
}

// The lock is held. The files may have changed although the settings have not.
Result<void> Instance::reload_tls(const conf::Settings& file) {
    if (!tls_ || file.certificates.empty())
        return {};  // whether there is TLS, the start has settled
    auto loaded = tls::Context::load(file.tls, file.certificates, file.edge, tls_->keys());
    if (!loaded) return std::unexpected(std::move(loaded.error()));
    tls_ = std::move(*loaded);
    for (const std::string& line : tls_->warnings())
        conf::log_warn("not in force today: {}", line);
    return {};
}

// The lock is held, and nothing has changed yet: whoever dies between the two has purged for
// nothing, but not forgotten to.
void Instance::purge_hidden_prefixes(const conf::Settings& file) {
    storage::Catalog* const catalog = stores_->catalog();
    if (catalog == nullptr) return;
    const auto prefixes = serve::newly_private(in_force_.settings.private_images.prefixes,
                                               file.private_images.prefixes);
    const std::int64_t now_s = std::time(nullptr);
    const auto job = serve::hidden_prefix_purge(
        storage::with_hosts_of(in_force_.settings, file.edge), pools_, prefixes, now_s);
    if (!job) return;
    if (const auto queued = catalog->queue_job(*job, now_s); !queued) {
        conf::log_error(
            "what is private from now on is not purged from the edge: call tidepool purge "
            "prefixes=\"{}\" reason=\"{}\"",
            fmt::join(prefixes, " "), queued.error().text);
    }
}

Result<void> Instance::reload(const conf::Settings& file) {
    {
        const std::lock_guard lock(rules_mutex_);
        if (auto reloaded = reload_tls(file); !reloaded)
            return std::unexpected(std::move(reloaded.error()));
        purge_hidden_prefixes(file);
        settings_registry_->use_file(file);
        take_over(settings_registry_->load());
    }
    if (const auto declared = registry_->declare(file); !declared)
        conf::log_error("[[pool]] not reloaded, the old ones are kept reason=\"{}\"",
                        declared.error().text);
    refresh_pools();
    wait_for_loops();
    if (!file.shelf.path.empty() && stores_->shelf() == nullptr && !stores_->remotes().empty())
        conf::log_warn("the first bucket is served without the shelf until a restart (SIGUSR2)");
    return {};
}

// Until all loops have taken over what was posted to them: who is told that something changed may
// rely on it. Not for ever, since one that is ending takes nothing any more.
void Instance::wait_for_loops() {
    const auto done = std::make_shared<std::counting_semaphore<>>(0);
    for (const auto& loop : loops_)
        loop->loop.post([done] { done->release(); });
    for (std::size_t i = 0; i < loops_.size(); ++i) {
        if (!done->try_acquire_for(kLoopPatience)) return;
    }
}

void Instance::reopen_log() {
    if (log_) log_->reopen();
}

void Instance::drain(std::chrono::milliseconds idle, bool successor_has_admin) {
    if (tiering_) tiering_->ask_to_stop();
    if (jobs_) jobs_->ask_to_stop();
    const auto idle_ms = static_cast<std::uint64_t>(idle.count());
    for (const auto& loop : loops_) {
        loop->loop.post([this, &loop = *loop, idle_ms, successor_has_admin] {
            loop.server.drain(idle_ms);
            if (&loop != loops_.front().get()) {
                loop.loop.stop();
                return;
            }
            admin_handler_->set_draining();
            if (variant_jobs_) variant_jobs_->stop();
            if (variants_) loop.loop.tasks().spawn(finish_variants(*this, loop));
            loop.loop.tasks().spawn(finish_admin(*this, loop, successor_has_admin));
        });
    }
}

// Whoever still waits for a variant gets it.
loop::Task<> Instance::finish_variants(Instance& instance, LoopThread& first) {
    while (instance.counts_.total() > 0)
        co_await first.loop.delay(kDrainLookMs);
    instance.variants_->stop(false);
}

loop::Task<> Instance::finish_admin(Instance& instance, LoopThread& first, bool at_once) {
    while (!at_once && instance.counts_.total() > 0)
        co_await first.loop.delay(kDrainLookMs);
    instance.admin_->drain(0);
    first.loop.stop();
}

void Instance::abort() {
    for (const auto& loop : loops_) {
        loop->loop.post([this, &loop = *loop] {
            loop.server.abort_all();
            if (&loop != loops_.front().get()) return;
            admin_->abort_all();
            if (variant_jobs_) variant_jobs_->stop();
            if (variants_) variants_->stop(true);
        });
    }
    origin_.give_up_all();
}

}  // namespace tidepool::cli
