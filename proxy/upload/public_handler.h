// The public listener's handler: images, and the API beside them.
#pragma once

#include "proxy/http/handler.h"
#include "proxy/serve/handler.h"
#include "proxy/serve/lock_keeper.h"
#include "proxy/upload/upload_api.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace tidepool::upload {

// One per loop; loop thread only. All outlive it.
class PublicHandler final : public http::Handler {
  public:
    PublicHandler(loop::Loop& loop, serve::FileHandler& files) : loop_(loop), files_(files) {}

    // From now on there is the API; without it its paths are no images either.
    void use_uploads(UploadApi& uploads) { uploads_ = &uploads; }

    // Who comes in; null: all.
    void change_lock(std::shared_ptr<const serve::OriginLock> lock) {
        lock_.change(std::move(lock));
    }
    const serve::LockCounters& lock_counters() const { return lock_.counters(); }

    bool shuts_out(const http::Peer& peer) override { return lock_.shuts_out(peer); }
    http::Admission let_in(const http::RequestHead* head, const http::Peer& peer) override {
        return lock_.let_in(head, peer, loop_.now_ms());
    }
    std::uint64_t wanted_body(const http::RequestHead& head) const override {
        return is_api(head) ? UploadApi::wanted_body(head) : 0;
    }
    bool wants_stream(const http::RequestHead& head) const override {
        return is_api(head) && UploadApi::wants_stream(head);
    }
    loop::Task<http::Response> respond_to_stream(const http::RequestHead& head,
                                                 const http::Peer& peer,
                                                 http::BodyStream& body) override {
        return uploads_->respond_to_stream(loop_, head, peer, body);
    }
    std::optional<http::Response> respond_now(const http::RequestHead& head,
                                              const http::Peer& peer) override {
        if (is_api(head)) return std::nullopt;
        return files_.respond_now(head, peer);
    }
    loop::Task<http::Response> respond(const http::RequestHead& head,
                                       const http::Peer& peer) override {
        if (is_api(head)) return uploads_->respond(loop_, head, peer);
        return files_.respond(head, peer);
    }
    http::Response refuse(http::Refusal refusal, const http::RequestHead* head) override {
        // No rule of the configuration gives it a lifetime: caches would keep it for who may come.
        if (refusal == http::Refusal::locked_out) {
            return http::text_response(http::status_of(refusal), "text/plain; charset=utf-8",
                                       "forbidden\n", "Cache-Control: no-store\r\n");
        }
        if (head != nullptr && is_api(*head)) return uploads_->refuse(refusal, *head);
        return files_.refuse(refusal, head);
    }
    void finished(const http::Exchange& exchange) override { files_.finished(exchange); }

  private:
    bool is_api(const http::RequestHead& head) const {
        return uploads_ != nullptr && UploadApi::owns(head.path);
    }

    loop::Loop& loop_;
    serve::FileHandler& files_;
    serve::LockKeeper lock_;
    UploadApi* uploads_ = nullptr;
};

}  // namespace tidepool::upload
