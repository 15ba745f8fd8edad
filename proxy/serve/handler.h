// The life of a GET: start reading here.
#pragma once

#include "conf/settings.h"
#include "proxy/http/handler.h"
#include "proxy/http/range.h"
#include "proxy/loop/loop.h"
#include "proxy/serve/access_log.h"
#include "proxy/serve/file_finder.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tidepool::serve {

// What a handler takes from the configuration; replaced by a reload.
struct HandlerRules {
    std::string url_prefix;
    unsigned range_limit = 0;
    std::shared_ptr<const ServeRules> serve;
};

// Answers for the public listener of one loop. Loop thread only.
class FileHandler final : public http::Handler {
  public:
    // `log` may be null: no access log.
    FileHandler(loop::Loop& loop, FileFinder& finder, HandlerRules rules, AccessLogWriter* log);

    std::optional<http::Response> respond_now(const http::RequestHead& head,
                                              const http::Peer& peer) override;
    loop::Task<http::Response> respond(const http::RequestHead& head,
                                       const http::Peer& peer) override;
    http::Response refuse(http::Refusal refusal) override;
    void finished(const http::Exchange& exchange) override;

    void change_rules(HandlerRules rules) { rules_ = std::move(rules); }

  private:
    http::Response problem(int status, std::string_view key, std::string_view text,
                           std::string_view fields = {});
    http::Response absent(std::string_view key, std::string_view cache_status);
    http::Response failed(std::string_view key, const Error& error);
    http::Response options();
    http::Response present(const http::RequestHead& head, std::shared_ptr<const CachedFile> file,
                           bool was_cached);
    http::Response partial(const std::vector<http::ByteRange>& ranges,
                           const std::shared_ptr<const CachedFile>& file,
                           std::string_view cache_status);
    http::Part slice(const std::shared_ptr<const CachedFile>& file, std::uint64_t offset,
                     std::uint64_t length);
    loop::Task<> check(std::string key);

    loop::Loop& loop_;
    FileFinder& finder_;
    HandlerRules rules_;
    AccessLogWriter* log_;
    std::string key_;  // scratch: of the request that respond_now() was last asked for
};

}  // namespace tidepool::serve
