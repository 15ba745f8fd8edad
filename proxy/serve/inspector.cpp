#include "proxy/serve/inspector.h"

#include "proxy/serve/variant_source.h"
#include "transform/dear.h"

#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <string>
#include <utility>

namespace tidepool::serve {

// What somebody waits for; lives in the frame of inspect().
struct Inspector::Request {
    loop::Loop& loop;
    std::shared_ptr<const storage::OpenFile> file;
    transform::InspectDepth depth;
    Result<transform::Inspection> result = fail(ErrorKind::closed, "the server is stopping");
    std::coroutine_handle<> waiter = nullptr;
};

// Waits until the home loop is done with a request.
class Inspector::HandOver {
  public:
    HandOver(Inspector& inspector, Request& request) : inspector_(inspector), request_(request) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) {
        request_.waiter = waiter;
        return inspector_.take(request_);
    }
    void await_resume() const noexcept {}

  private:
    Inspector& inspector_;
    Request& request_;
};

loop::Task<Result<transform::Inspection>> Inspector::inspect(
    loop::Loop& loop, std::shared_ptr<const storage::OpenFile> file,
    transform::InspectDepth depth) {
    Request request{.loop = loop, .file = std::move(file), .depth = depth};
    co_await HandOver(*this, request);
    co_return std::move(request.result);
}

// Under the lock to the end, so that stop() finds all that the home loop was told of: that may have
// ended before it would come to it.
bool Inspector::take(Request& request) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    handed_over_.push_back(&request);
    home_.post([this] { begin_next(); });
    return true;
}

void Inspector::begin_next() {
    Request* request = nullptr;
    {
        const std::lock_guard lock(mutex_);
        if (handed_over_.empty()) return;
        request = handed_over_.front();
        handed_over_.pop_front();
    }
    home_.tasks().spawn(lead(*this, *request));
}

void Inspector::stop() {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (Request* const request : handed_over_)
        request->loop.post(request->waiter);
    handed_over_.clear();
}

loop::Task<> Inspector::lead(Inspector& self, Request& request) {
    request.result = co_await self.look(request);
    request.loop.post(request.waiter);  // with which the request may be gone
}

loop::Task<Result<VariantLane>> Inspector::lane_of(const Request& request) {
    if (request.depth == transform::InspectDepth::structure) co_return VariantLane::cheap;
    const auto head = co_await loop::offload(home_, readers_, loop::Lane::bulk,
                                             [&] { return read_head(*request.file); });
    if (!head) co_return std::unexpected(head.error());
    co_return transform::is_dear(*head, request.depth) ? VariantLane::dear : VariantLane::cheap;
}

loop::Task<Result<transform::Inspection>> Inspector::look(const Request& request) {
    const auto lane = co_await lane_of(request);
    if (!lane) co_return std::unexpected(lane.error());
    co_return co_await workers_.inspect(*lane, request.file->fd(), request.file->identity().size,
                                        limits_, request.depth);
}

}  // namespace tidepool::serve
