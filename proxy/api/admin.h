// Answers of the admin listener: metrics, health, and the admin API.
#pragma once

#include "conf/secret.h"
#include "conf/settings.h"
#include "proxy/api/images_api.h"
#include "proxy/api/metrics.h"
#include "proxy/api/pool_registry.h"
#include "proxy/api/saved_answers.h"
#include "proxy/api/settings_registry.h"
#include "proxy/http/handler.h"
#include "storage/driver_set.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::api {

// What the admin API works with.
struct ApiMeans {
    PoolRegistry* pools = nullptr;              // outlives the handler
    ImageMeans images;                          // without a catalog there are none, and no jobs
    storage::DriverSet* drivers = nullptr;      // outlives the handler; null without a catalog
    std::function<SettingsInForce()> settings;  // as they are now; any thread
    SettingsRegistry* changeable = nullptr;     // of them; outlives the handler
    bool has_zone = false;                      // purge.zone_id: there is an edge to purge
    conf::Secret token;                         // that callers must have; none = the API is closed
    std::uint64_t request_body_bytes = 0;       // longer bodies are 413
    // Both block and are called on a worker of the catalog.
    std::function<void()> pools_changed;
    std::function<void()> settings_changed;
};

// Loop thread of the admin listener only.
class AdminHandler final : public http::Handler {
  public:
    AdminHandler(MetricSources sources, ApiMeans api);

    std::uint64_t wanted_body(const http::RequestHead& head) const override;
    std::optional<http::Response> respond_now(const http::RequestHead& head,
                                              const http::Peer& peer) override;
    loop::Task<http::Response> respond(const http::RequestHead& head,
                                       const http::Peer& peer) override;
    http::Response refuse(http::Refusal refusal, const http::RequestHead* head) override;
    void finished(const http::Exchange&) override {}

    // From now on /readyz says 503, so that whoever balances load sends no more.
    void set_draining() { draining_ = true; }

  private:
    ApiAnswer answer_api(const ApiCall& call) const;
    // The same, but for a call that was made with this key before.
    ApiAnswer answer_once(std::string_view key, const ApiCall& call);
    bool is_authorized(const http::RequestHead& head) const;
    loop::Task<http::Response> respond_ready();
    loop::Task<http::Response> respond_api(const http::RequestHead& head);

    MetricSources sources_;
    ApiMeans api_;
    std::optional<SavedAnswers> saved_;  // nothing: there is no catalog
    const std::string process_;          // see storage/job_owner.h
    bool draining_ = false;
};

}  // namespace tidepool::api
