#include "proxy/loop/worker_pool.h"

#include "proxy/loop/precedence.h"

#include <algorithm>
#include <utility>

#include <pthread.h>

namespace tidepool::loop {

namespace {

thread_local bool is_worker = false;

std::uint64_t now_ms() {
    return Loop::clock_ns() / 1'000'000;
}

}  // namespace

WorkerPool::WorkerPool(std::string name, unsigned threads, std::size_t queue_limit,
                       std::uint64_t patience_ms)
    : name_(std::move(name)),
      queue_limit_(queue_limit),
      patience_ms_(patience_ms),
      begun_ms_(threads) {
    for (std::size_t number = 0; number < begun_ms_.size(); ++number) {
        threads_.emplace_back([this, number] { work_loop(number); });
        pthread_setname_np(threads_.back().native_handle(), ("w:" + name_).substr(0, 15).c_str());
    }
}

WorkerPool::~WorkerPool() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    for (std::size_t i = 0; i < threads_.size(); ++i) {
        quick_ready_.post();
        any_ready_.post();
    }
    for (auto& thread : threads_)
        thread.join();
}

bool WorkerPool::submit(Lane lane, std::move_only_function<void()> work) {
    auto& queued = queued_[static_cast<std::size_t>(lane)];
    if (queued.fetch_add(1, std::memory_order_relaxed) >= queue_limit_) {
        queued.fetch_sub(1, std::memory_order_relaxed);
        rejected_.fetch_add(1, std::memory_order_relaxed);
        return false;
    }
    incoming_.add(std::make_unique<Work>(std::move(work), lane));
    // One for each piece of work; whoever finds that another has taken it waits for the next.
    if (lane != Lane::bulk) quick_ready_.post();
    any_ready_.post();
    return true;
}

unsigned WorkerPool::count_overdue(std::size_t from) const {
    if (patience_ms_ == 0) return 0;
    const std::uint64_t now = now_ms();
    unsigned count = 0;
    for (std::size_t number = from; number < begun_ms_.size(); ++number) {
        const std::uint64_t begun_ms = begun_ms_[number].load(std::memory_order_relaxed);
        if (begun_ms != 0 && now > begun_ms + patience_ms_) ++count;
    }
    return count;
}

bool WorkerPool::is_stuck(Lane lane) const {
    const std::size_t from = lane == Lane::bulk && !takes_bulk(0) ? 1 : 0;
    return count_overdue(from) == begun_ms_.size() - from;
}

bool WorkerPool::is_on_worker() {
    return is_worker;
}

std::size_t WorkerPool::queued() const {
    std::size_t count = 0;
    for (const auto& queued : queued_)
        count += queued.load(std::memory_order_relaxed);
    return count;
}

void WorkerPool::take_incoming() {
    incoming_.take([this](std::unique_ptr<Work> work) {
        queues_[static_cast<std::size_t>(work->lane)].push_back(std::move(work));
    });
}

WorkerPool::Queue* WorkerPool::next_queue(bool takes_bulk) {
    const std::size_t taken = takes_bulk ? queues_.size() : static_cast<std::size_t>(Lane::bulk);
    const auto end = queues_.begin() + taken;
    const auto next =
        std::find_if(queues_.begin(), end, [](const auto& queue) { return !queue.empty(); });
    return next == end ? nullptr : &*next;
}

void WorkerPool::work_loop(std::size_t number) {
    // A loop on the same core would wait for the end of a long one.
    ask_for_short_turns();
    is_worker = true;
    const bool is_for_all = takes_bulk(number);
    auto& ready = is_for_all ? any_ready_ : quick_ready_;
    while (true) {
        ready.wait();
        std::unique_ptr<Work> work;
        {
            const std::lock_guard lock(mutex_);
            take_incoming();
            auto* const queue = next_queue(is_for_all);
            if (queue == nullptr && ending_) return;
            if (queue == nullptr) continue;
            work = std::move(queue->front());
            queue->pop_front();
        }
        queued_[static_cast<std::size_t>(work->lane)].fetch_sub(1, std::memory_order_relaxed);
        begun_ms_[number].store(now_ms(), std::memory_order_relaxed);
        work->call();
        work.reset();  // what it owned may be waited for, too
        begun_ms_[number].store(0, std::memory_order_relaxed);
    }
}

}  // namespace tidepool::loop
