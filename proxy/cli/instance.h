// One running server: its loops with their threads, and what they share.
#pragma once

#include "conf/settings.h"
#include "proxy/api/admin.h"
#include "proxy/cli/listen_sockets.h"
#include "proxy/cli/open_stores.h"
#include "proxy/http/connection_counts.h"
#include "proxy/http/server.h"
#include "proxy/serve/access_log.h"
#include "proxy/serve/handler.h"
#include "proxy/serve/job_work.h"
#include "proxy/serve/origin.h"
#include "proxy/serve/origin_lock.h"
#include "proxy/serve/stores.h"
#include "proxy/serve/tier_work.h"
#include "proxy/serve/variant_jobs.h"
#include "proxy/serve/variant_maker.h"
#include "proxy/serve/view_counter.h"
#include "proxy/upload/processing.h"
#include "proxy/upload/public_handler.h"
#include "proxy/upload/upload_api.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tidepool::cli {

// Built, started, reloaded and drained by the main thread, which runs no loop itself.
class Instance {
  public:
    // `settings` are what the registry of `stores` has loaded. `log` may be null. `done_fd` is an
    // eventfd that is written when every loop has ended.
    // `tls` is null where there is no certificate.
    Instance(api::SettingsInForce settings, OpenedStores stores,
             std::shared_ptr<const tls::Context> tls, std::unique_ptr<serve::AccessLog> log,
             unsigned loops, int done_fd);
    // The loops must have ended.
    ~Instance();
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    // Takes the descriptors and starts the threads.
    void start(const std::vector<ListenSocket>& open, const std::vector<ListenSocket>& tls,
               const std::vector<ListenSocket>& admin);

    // Applies what can change while running: limits, timeouts, types, lifetimes, edge, pools; what
    // was changed at run time stays changed.
    // An error: a certificate cannot be used, and nothing has changed.
    Result<void> reload(const conf::Settings& file);
    void reopen_log();
    // Once every loop has ended: see AccessLog::finish.
    bool finish_log(std::chrono::milliseconds patience) { return !log_ || log_->finish(patience); }

    // Stops accepting and ends when what runs is done. The admin listener goes on, saying
    // "draining", until then, unless a successor has it.
    void drain(std::chrono::milliseconds idle, bool successor_has_admin);
    // Cuts every connection.
    void abort();

    const serve::FileFinder& finder() const { return finder_; }
    unsigned connections() const { return counts_.total(); }

  private:
    struct LoopThread;

    void make_jobs(const conf::Settings& settings);
    void follow_pools();
    void on_changed(const std::vector<std::string>& keys);
    api::ImageMeans image_means();
    // Any thread.
    api::SettingsInForce settings_in_force();
    void make_uploads(const conf::Settings& settings);
    void make_tiering(const conf::Settings& settings);
    void listen_on(const std::vector<ListenSocket>& sockets, http::Server::Transport transport);
    http::Server::Rules server_rules(const conf::Settings& settings) const;
    Result<void> reload_tls(const conf::Settings& file);
    void purge_hidden_prefixes(const conf::Settings& file);
    void refresh_pools();
    void refresh_settings();
    void wait_for_loops();
    // The lock is held.
    void take_over(api::SettingsInForce loaded);
    serve::HandlerRules handler_rules() const;
    void push_handler_rules();
    void on_filled(const serve::RemoteObject& object, serve::FillEnd end);
    static loop::Task<> finish_variants(Instance& instance, LoopThread& first);
    static loop::Task<> finish_admin(Instance& instance, LoopThread& first, bool at_once);

    // Under the lock below, both.
    api::SettingsInForce loaded_;    // as the registry gave it last
    api::SettingsInForce in_force_;  // what a reload does not take over is as it was at the start
    std::string url_prefix_;         // keys and pools hang on it, so a reload leaves it
    std::string loop_id_;
    std::unique_ptr<serve::Stores> stores_;
    std::unique_ptr<api::PoolRegistry> registry_;
    std::unique_ptr<api::SettingsRegistry> settings_registry_;
    // One change of the rules at a time, by a reload or because pools or settings of the catalog
    // have changed. What is loaded under it is what is taken over.
    std::mutex rules_mutex_;
    std::vector<storage::KnownPool> pools_;
    std::shared_ptr<const tls::Context> tls_;  // null: there is no certificate
    unsigned range_limit_;
    std::shared_ptr<const serve::ServeRules> rules_;
    std::shared_ptr<const serve::SignedVariants> signed_variants_;
    std::shared_ptr<const serve::OriginLock> lock_;  // null: all come in
    const std::shared_ptr<serve::GuardMemory> guard_memory_ =
        std::make_shared<serve::GuardMemory>();
    std::shared_ptr<const serve::RequestGuard> guard_;  // null: nobody is turned away
    serve::FileFinder finder_;
    serve::Origin origin_;
    http::ConnectionCounts counts_;
    http::ConnectionCounts admin_counts_;
    std::unique_ptr<serve::AccessLog> log_;
    std::unique_ptr<serve::ViewCounter> views_;  // null: they are not counted
    std::vector<std::unique_ptr<LoopThread>> loops_;
    std::unique_ptr<serve::VariantMaker>
        variants_;  // null: none is made. Its home is the first loop
    std::unique_ptr<serve::VariantJobs> variant_jobs_;  // null: there is no catalog
    std::unique_ptr<storage::DriverSet> drivers_;       // the same
    std::unique_ptr<serve::JobWork> jobs_;              // the same
    std::unique_ptr<upload::Processing> processing_;    // null: no variants are made, or the same
    std::unique_ptr<upload::UploadApi> uploads_;        // null: there is no catalog
    std::unique_ptr<serve::TierWork> tiering_;          // null: there is no catalog
    std::unique_ptr<api::AdminHandler> admin_handler_;
    std::unique_ptr<http::Server> admin_;  // on the first loop
    std::atomic<unsigned> running_ = 0;
    int done_fd_;
};

}  // namespace tidepool::cli
