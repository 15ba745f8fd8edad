#include "proxy/loop/loop.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace tidepool::loop {

namespace {

void require(int uv_result) {
    if (uv_result != 0) std::abort();  // out of descriptors or memory before the server has begun
}

std::uint64_t initialised_now(uv_loop_t& loop) {
    require(uv_loop_init(&loop));
    return uv_now(&loop);
}

}  // namespace

Loop::Loop() : wheel_(initialised_now(loop_)) {
    loop_.data = this;
    require(uv_async_init(&loop_, &wake_, [](uv_async_t* handle) {
        static_cast<Loop*>(handle->loop->data)->run_posted();
    }));
    require(uv_timer_init(&loop_, &ticker_));
    last_tick_ms_ = now_ms();
    require(uv_timer_start(
        &ticker_, [](uv_timer_t* handle) { static_cast<Loop*>(handle->loop->data)->tick(); },
        TimerWheel::kTickMs, TimerWheel::kTickMs));
}

Loop::~Loop() {
    uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&ticker_), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);  // lets close callbacks free what they own
    require(uv_loop_close(&loop_));
}

void Loop::run() {
    uv_update_time(&loop_);
    last_tick_ms_ = now_ms();
    while (!stopping_ || tasks_.running() > 0)
        uv_run(&loop_, UV_RUN_ONCE);
}

void Loop::stop() {
    stopping_ = true;
}

void Loop::post(std::move_only_function<void()> work) {
    bool first = false;
    {
        const std::lock_guard lock(posted_mutex_);
        first = posted_.empty();
        posted_.push_back(std::move(work));
    }
    if (first) uv_async_send(&wake_);
}

void Loop::run_posted() {
    std::vector<std::move_only_function<void()>> batch;
    {
        const std::lock_guard lock(posted_mutex_);
        batch.swap(posted_);
    }
    for (auto& work : batch)
        work();
}

void Loop::tick() {
    const std::uint64_t now = now_ms();
    const std::uint64_t since = now - last_tick_ms_;
    last_tick_ms_ = now;
    const std::uint64_t lag = since - std::min(since, TimerWheel::kTickMs);
    if (lag > worst_lag_ms_) worst_lag_ms_ = lag;
    wheel_.advance(now);
}

std::uint64_t Loop::take_worst_lag_ms() {
    return worst_lag_ms_.exchange(0);
}

}  // namespace tidepool::loop
