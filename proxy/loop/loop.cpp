#include "proxy/loop/loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <utility>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace tidepool::loop {

namespace {

void require(int uv_result) {
    if (uv_result != 0) std::abort();  // out of descriptors or memory before the server has begun
}

// Events taken from the kernel at once.
constexpr int kEventBatch = 256;
// Those that are told before what came of them is sent: some hundred microseconds of small answers.
constexpr std::size_t kTellAtOnce = CallBatch::kMost;
// In the place of descriptors, which have watchers.
constexpr int kOfLibuv = -1;
constexpr int kOfPost = -2;

std::uint64_t initialised_now(uv_loop_t& loop) {
    require(uv_loop_init(&loop));
    return uv_now(&loop);
}

}  // namespace

Loop::Loop()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wheel_(initialised_now(loop_)) {
    loop_.data = this;
    read_clocks();
    epoll_event backend{.events = EPOLLIN, .data = {.fd = kOfLibuv}};
    require(epoll_ctl(epoll_, EPOLL_CTL_ADD, uv_backend_fd(&loop_), &backend));
    epoll_event posted{.events = EPOLLIN, .data = {.fd = kOfPost}};
    require(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &posted));
    require(uv_timer_init(&loop_, &ticker_));
    last_tick_ms_ = now_ms();
    require(uv_timer_start(
        &ticker_, [](uv_timer_t* handle) { static_cast<Loop*>(handle->loop->data)->tick(); },
        TimerWheel::kTickMs, TimerWheel::kTickMs));
}

Loop::~Loop() {
    uv_close(reinterpret_cast<uv_handle_t*>(&ticker_), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);  // lets close callbacks free what they own
    close(epoll_);
    close(wake_);
    require(uv_loop_close(&loop_));
}

void Loop::run() {
    thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    read_clocks();
    last_tick_ms_ = now_ms();
    while (!stopping_ || tasks_.running() > 0)
        iterate();
}

std::uint64_t Loop::clock_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000ULL +
           static_cast<std::uint64_t>(now.tv_nsec);
}

void Loop::read_clocks() {
    now_ns_ = clock_ns();
    timespec now{};
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    wall_s_ = now.tv_sec;
    uv_update_time(&loop_);
}

void Loop::iterate() {
    std::array<epoll_event, kEventBatch> events;  // NOLINT(*-member-init): the kernel fills it
    const bool has_more = !posted_here_.empty() || !behind_.empty() || !calls_.empty();
    const int patience_ms = has_more ? 0 : uv_backend_timeout(&loop_);
    const int count = epoll_wait(epoll_, events.data(), kEventBatch, patience_ms);
    read_clocks();
    precedence_.look(now_ns_);
    uv_ready_ = uv_backend_timeout(&loop_) == 0;  // a timer is due
    is_posted_ = false;
    std::span<const epoll_event> untold(events.data(),
                                        static_cast<std::size_t>(std::max(count, 0)));
    while (!untold.empty()) {
        const std::size_t now = std::min(untold.size(), kTellAtOnce);
        tell(untold.first(now));
        make_receives();
        make_calls();
        untold = untold.subspan(now);
    }
    if (uv_ready_) uv_run(&loop_, UV_RUN_NOWAIT);
    if (is_posted_) run_posted();
    run_posted_here();
    make_calls();
    run_behind();
    make_calls();
}

void Loop::tell(std::span<const epoll_event> events) {
    for (const epoll_event& event : events) {
        if (event.data.fd == kOfLibuv) {
            uv_ready_ = true;
        } else if (event.data.fd == kOfPost) {
            is_posted_ = true;
        } else if (Watcher* watcher = watchers_[static_cast<std::size_t>(event.data.fd)]) {
            watcher->on_events(event.events);
        }
    }
}

void Loop::make_receives() {
    if (receivers_.empty()) return;
    // Who has gone since, or wants something else by now, is not asked; so a descriptor's number
    // that another one has by now does no harm.
    receives_.resize(receivers_.size());
    handed_over_.clear();
    for (const int fd : receivers_) {
        Watcher* const watcher = watchers_[static_cast<std::size_t>(fd)];
        SocketCall& call = receives_[handed_over_.size()];
        if (watcher != nullptr && watcher->wants_to_receive(call)) handed_over_.push_back(&call);
    }
    receivers_.clear();
    batch_.make(handed_over_);
    for (const SocketCall& call : std::span(receives_).first(handed_over_.size())) {
        if (Watcher* const watcher = watchers_[static_cast<std::size_t>(call.fd)])
            watcher->received(call.result);
    }
}

void Loop::make_calls() {
    if (calls_.empty()) return;
    being_made_.swap(calls_);
    handed_over_.clear();
    for (const Waiting& waiting : being_made_)
        handed_over_.push_back(waiting.call);
    batch_.make(handed_over_);
    for (const Waiting& waiting : being_made_)
        waiting.waiter.resume();
    being_made_.clear();
}

void Loop::watch(int fd, std::uint32_t events, Watcher& watcher) {
    const auto index = static_cast<std::size_t>(fd);
    if (index >= watchers_.size()) watchers_.resize(std::max(index + 1, 2 * watchers_.size()));
    watchers_[index] = &watcher;
    epoll_event wanted{.events = events, .data = {.fd = fd}};
    require(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &wanted));
}

void Loop::unwatch(int fd) {
    forget(fd);
    require(epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr));
}

void Loop::stop() {
    stopping_ = true;
}

void Loop::post(std::move_only_function<void()> work) {
    if (std::this_thread::get_id() == thread_.load(std::memory_order_relaxed)) {
        posted_here_.push_back(std::move(work));
        return;
    }
    if (!posted_.add(std::make_unique<Posted>(std::move(work)))) return;
    // Not uv_async_send: libuv's loop spins until that has returned, and so waited for threads that
    // stand back and had just been put off the processor by the loop that they woke.
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t told = write(wake_, &one, sizeof one);  // it takes it always
}

void Loop::run_posted() {
    std::uint64_t times = 0;
    [[maybe_unused]] const ssize_t read_times = read(wake_, &times, sizeof times);
    posted_.take([this](std::unique_ptr<Posted> posted) { run_work(posted->work); });
}

// One batch: what it posts in turn waits until sockets had theirs.
void Loop::run_posted_here() {
    std::vector<std::move_only_function<void()>> batch;
    batch.swap(posted_here_);
    for (auto& work : batch)
        run_work(work);
}

// Answers that it has to send do not wait for more than as many others.
void Loop::run_work(std::move_only_function<void()>& work) {
    work();
    if (calls_.size() >= CallBatch::kMost) make_calls();
}

// Those only that were there before: who stands back again waits until others had their turn.
void Loop::run_behind() {
    std::size_t count = behind_.size();
    if (count == 0) return;
    const std::uint64_t end = clock_ns() + kBehindNs;
    do {
        const std::coroutine_handle<> next = behind_.front();
        behind_.pop_front();
        next.resume();
    } while (--count > 0 && clock_ns() < end);
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
