// The life of a GET: start reading here.
#pragma once

#include "conf/settings.h"
#include "proxy/http/handler.h"
#include "proxy/http/range.h"
#include "proxy/loop/loop.h"
#include "proxy/serve/access_log.h"
#include "proxy/serve/file_finder.h"
#include "proxy/serve/origin.h"
#include "proxy/serve/request_guard.h"
#include "proxy/serve/signed_variants.h"
#include "proxy/serve/variant_maker.h"
#include "proxy/serve/view_counter.h"
#include "storage/image_key.h"
#include "storage/key.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::serve {

// A path that names a key beside server.url_prefix: what it starts with, and how much of the path
// without its first slash is not part of the key.
struct UrlShape {
    std::string prefix;
    std::size_t stripped = 0;
};

// What a handler takes from the configuration; replaced by a reload.
struct HandlerRules {
    std::string url_prefix;
    unsigned range_limit = 0;
    std::string loop_id;  // our name in CDN-Loop
    std::vector<UrlShape> more_shapes;
    std::shared_ptr<const ServeRules> serve;
    std::shared_ptr<const SignedVariants> signed_variants;  // null: there are none
    std::shared_ptr<const RequestGuard> guard;              // null: nobody is turned away
};

// Answers for the public listener of one loop. Loop thread only.
class FileHandler final : public http::Handler {
  public:
    // `log` may be null: no access log.
    FileHandler(loop::Loop& loop, FileFinder& finder, Origin& origin, http::Fetcher& fetcher,
                HandlerRules rules, AccessLogWriter* log);

    std::optional<http::Response> respond_now(const http::RequestHead& head,
                                              const http::Peer& peer) override;
    loop::Task<http::Response> respond(const http::RequestHead& head,
                                       const http::Peer& peer) override;
    http::Response refuse(http::Refusal refusal, const http::RequestHead* head) override;
    void finished(const http::Exchange& exchange) override;

    void change_rules(HandlerRules rules) { rules_ = std::move(rules); }
    // From now on missing variants are made, where variants.on_demand says so; else it is said of
    // those that are made at upload that they are still to come. It outlives the handler.
    void use_variants(VariantMaker& maker) { variants_ = &maker; }
    // From now on answers with an image's bytes are counted there. It outlives the handler.
    void count_views(ViewTable& views) { views_ = &views; }
    const PrivateCounters& private_counters() const { return private_counters_; }

  private:
    // What a request's path stands for.
    struct Wanted {
        std::string key;
        bool is_signed = false;  // somebody with a key of ours wants it made
        bool is_let_in = false;  // a signature was found good for what is private
    };
    // What a request makes of a file: the status, and for 206 the parts.
    struct Choice {
        int status = 200;
        std::vector<http::ByteRange> ranges;
        bool needs_body(const http::RequestHead& head) const {
            return head.method == http::Method::get && (status == 200 || status == 206);
        }
    };
    // The bodies of a bucket's object, for each range or for all of it.
    using Bodies = std::vector<std::shared_ptr<http::Incoming>>;

    Choice choose(const http::RequestHead& head, const CachedFile& file) const;
    // Of a GET that is answered with bytes of the image, or sent to where they are.
    void count_view(const http::RequestHead& head, const std::optional<storage::Uuid>& image) {
        if (views_ != nullptr && image && head.method == http::Method::get)
            views_->count(*image, loop_.wall_s());
    }
    loop::Task<http::Response> respond_remote(const http::RequestHead& head, std::string key,
                                              std::shared_ptr<const CachedFile> file,
                                              const Choice& choice);
    loop::Task<Result<Bodies>> open_bodies(const http::RequestHead& head, const CachedFile& file,
                                           const Choice& choice);
    loop::Task<std::optional<http::Response>> respond_copy(const http::RequestHead& head,
                                                           const std::string& key,
                                                           const RemoteObject& object);
    bool is_made_on_demand(const Wanted& wanted) const {
        return variants_ != nullptr && variants_->settings().on_demand &&
               (wanted.is_signed || variants_->is_ordered(wanted.key));
    }
    bool is_made_at_upload(const Wanted& wanted) const {
        return variants_ != nullptr && !variants_->settings().on_demand &&
               variants_->is_made_at_upload(wanted.key);
    }
    std::optional<http::Response> turn_away(const http::RequestHead& head, const http::Peer& peer);
    std::optional<http::Response> find_wanted(const http::RequestHead& head, Wanted& wanted);
    std::optional<http::Response> find_signed(const http::RequestHead& head, Wanted& wanted);
    // handler_private.cpp: what is answered instead of something private; nothing: go on.
    std::optional<http::Response> keep_out(const http::RequestHead& head, Wanted& wanted,
                                           bool is_private);
    loop::Task<std::optional<http::Response>> keep_from_making(const http::RequestHead& head,
                                                               Wanted& wanted,
                                                               const FileFinder::Found& found);
    std::string lifetime_of(std::string_view key, int status, bool is_unshared) const;
    bool is_asked_by_edge(const http::RequestHead& head) const;
    std::shared_ptr<const CachedFile> for_asker_alone(std::shared_ptr<const CachedFile> file) const;
    loop::Task<http::Response> respond_file(const http::RequestHead& head, std::string key,
                                            std::shared_ptr<const CachedFile> file,
                                            bool was_cached);
    loop::Task<std::optional<http::Response>> keep_from_showing(const http::RequestHead& head,
                                                                Wanted& wanted);
    loop::Task<http::Response> respond_expected(const http::RequestHead& head, Wanted wanted);
    loop::Task<http::Response> respond_variant(const http::RequestHead& head, Wanted wanted);
    loop::Task<std::optional<http::Response>> respond_stand_in(const http::RequestHead& head,
                                                               Wanted& wanted,
                                                               conf::Milliseconds wait);
    loop::Task<std::optional<http::Response>> stand_in(const http::RequestHead& head,
                                                       Wanted& wanted, const std::string& key);
    std::string stand_in_fields(std::string_view key) const;
    conf::Milliseconds left_until(std::uint64_t until_ms) const;
    http::Response not_made(const http::RequestHead& head, std::string_view key,
                            const Error& error);
    http::Response made_now(const http::RequestHead& head, const VariantMaker::Outcome& variant,
                            std::string_view fields);
    static http::Response head_of(std::string_view content_type, std::uint64_t size,
                                  std::string_view fields);
    http::Response loop_detected();
    http::Response redirect(const http::RequestHead& head, const CachedFile& file,
                            std::string_view key);
    http::Response problem(const http::RequestHead* head, int status, std::string_view key,
                           std::string_view text, std::string_view fields = {},
                           bool is_unshared = false);
    http::Response absent(const http::RequestHead& head, std::string_view key,
                          std::string_view cache_status);
    http::Response gone(const http::RequestHead& head, std::string_view key, const CachedFile& file,
                        std::string_view cache_status);
    http::Response failed(const http::RequestHead& head, std::string_view key, const Error& error);
    http::Response options();
    http::Response present(const http::RequestHead& head, const Choice& choice,
                           std::shared_ptr<const CachedFile> file, bool was_cached,
                           const Bodies& bodies = {});
    http::Response partial(const std::vector<http::ByteRange>& ranges,
                           const std::shared_ptr<const CachedFile>& file,
                           std::string_view cache_status, const Bodies& bodies);
    static http::Part slice(const std::shared_ptr<const CachedFile>& file, std::uint64_t offset,
                            std::uint64_t length, const Bodies& bodies, std::size_t number);
    bool is_own_loop(const http::RequestHead& head) const;
    storage::KeyVerdict key_of(std::string_view path, std::string& key) const;
    loop::Task<> check(std::string key);

    loop::Loop& loop_;
    FileFinder& finder_;
    Origin& origin_;
    http::Fetcher& fetcher_;
    HandlerRules rules_;
    AccessLogWriter* log_;
    VariantMaker* variants_ = nullptr;
    ViewTable* views_ = nullptr;  // null: they are not counted
    PrivateCounters private_counters_;
    Wanted wanted_;  // scratch: of the request that respond_now() was last asked for
};

}  // namespace tidepool::serve
