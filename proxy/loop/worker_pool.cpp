#include "proxy/loop/worker_pool.h"

#include "proxy/loop/short_turns.h"

#include <algorithm>
#include <utility>

#include <pthread.h>

namespace tidepool::loop {

WorkerPool::WorkerPool(std::string name, unsigned threads, std::size_t queue_limit)
    : name_(std::move(name)), queue_limit_(queue_limit) {
    threads_.reserve(threads);
    for (unsigned i = 0; i < threads; ++i) {
        const bool takes_bulk = i > 0 || threads == 1;
        threads_.emplace_back([this, takes_bulk] { work_loop(takes_bulk); });
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

void WorkerPool::work_loop(bool takes_bulk) {
    // A loop on the same core would wait for the end of a long one.
    ask_for_short_turns();
    auto& ready = takes_bulk ? any_ready_ : quick_ready_;
    while (true) {
        std::move_only_function<void()> work;
        {
            std::unique_lock lock(mutex_);
            auto* queue = next_queue(takes_bulk);
            for (; queue == nullptr; queue = next_queue(takes_bulk)) {
                if (ending_) return;
                ready.wait(lock);
            }
            work = std::move(queue->front());
            queue->pop_front();
        }
        work();
    }
}

}  // namespace tidepool::loop
