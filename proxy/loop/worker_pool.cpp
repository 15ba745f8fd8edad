#include "proxy/loop/worker_pool.h"

#include "proxy/loop/short_turns.h"

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
    quick_ready_.notify_all();
    any_ready_.notify_all();
    for (auto& thread : threads_)
        thread.join();
}

bool WorkerPool::submit(Lane lane, std::move_only_function<void()> work) {
    {
        const std::lock_guard lock(mutex_);
        auto& queue = queues_[static_cast<std::size_t>(lane)];
        if (queue.size() >= queue_limit_) {
            rejected_.fetch_add(1, std::memory_order_relaxed);
            return false;
        }
        queue.push_back(std::move(work));
    }
    if (lane != Lane::bulk) quick_ready_.notify_one();
    any_ready_.notify_one();
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
    const std::lock_guard lock(mutex_);
    std::size_t count = 0;
    for (const auto& queue : queues_)
        count += queue.size();
    return count;
}

std::deque<std::move_only_function<void()>>* WorkerPool::next_queue(bool takes_bulk) {
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
        std::move_only_function<void()> work;
        {
            std::unique_lock lock(mutex_);
            auto* queue = next_queue(is_for_all);
            for (; queue == nullptr; queue = next_queue(is_for_all)) {
                if (ending_) return;
                ready.wait(lock);
            }
            work = std::move(queue->front());
            queue->pop_front();
        }
        begun_ms_[number].store(now_ms(), std::memory_order_relaxed);
        work();
        work = nullptr;  // what it owned may be waited for, too
        begun_ms_[number].store(0, std::memory_order_relaxed);
    }
}

}  // namespace tidepool::loop
