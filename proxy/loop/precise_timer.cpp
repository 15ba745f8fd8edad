#include "proxy/loop/precise_timer.h"

#include <cstdlib>

namespace tidepool::loop {

struct PreciseTimer::Handle {
    uv_timer_t timer{};
    Callback callback = nullptr;
    void* owner = nullptr;
};

PreciseTimer::PreciseTimer(Loop& loop, Callback callback, void* owner)
    : handle_(new Handle{.callback = callback, .owner = owner}) {
    if (uv_timer_init(&loop.uv(), &handle_->timer) != 0) std::abort();  // it cannot fail
    handle_->timer.data = handle_;
}

PreciseTimer::~PreciseTimer() {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_->timer),
             [](uv_handle_t* timer) { delete static_cast<Handle*>(timer->data); });
}

void PreciseTimer::start(std::uint64_t wait_ms) {
    const auto ring = [](uv_timer_t* timer) {
        const auto& handle = *static_cast<Handle*>(timer->data);
        handle.callback(handle.owner);
    };
    if (uv_timer_start(&handle_->timer, ring, wait_ms, 0) != 0) std::abort();  // it is not closing
}

void PreciseTimer::stop() {
    uv_timer_stop(&handle_->timer);
}

}  // namespace tidepool::loop
