// Answers of the admin listener: metrics and health.
#pragma once

#include "proxy/api/metrics.h"
#include "proxy/http/handler.h"

#include <optional>

namespace tidepool::api {

// Loop thread of the admin listener only.
class AdminHandler final : public http::Handler {
  public:
    explicit AdminHandler(MetricSources sources) : sources_(std::move(sources)) {}

    std::optional<http::Response> respond_now(const http::RequestHead& head,
                                              const http::Peer& peer) override;
    loop::Task<http::Response> respond(const http::RequestHead& head,
                                       const http::Peer& peer) override;
    http::Response refuse(http::Refusal refusal) override;
    void finished(const http::Exchange&) override {}

    // From now on /readyz says 503, so that whoever balances load sends no more.
    void set_draining() { draining_ = true; }

  private:
    MetricSources sources_;
    bool draining_ = false;
};

}  // namespace tidepool::api
