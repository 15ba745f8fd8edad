// What comes from any thread, for one that takes it.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace tidepool::loop {

// A list to which any thread adds without a lock, so that nobody waits for one that was put off the
// processor while it added. An `Item` has a member `Item* next`, which is the list's.
template <class Item>
class Arrivals {
  public:
    Arrivals() = default;
    ~Arrivals() {
        take([](std::unique_ptr<Item>) {});
    }
    Arrivals(const Arrivals&) = delete;
    Arrivals& operator=(const Arrivals&) = delete;

    // Any thread. True: there was nothing before it.
    bool add(std::unique_ptr<Item> item) {
        Item* const added = item.release();
        Item* before = latest_.load(std::memory_order_relaxed);
        do {
            added->next = before;
        } while (!latest_.compare_exchange_weak(before, added, std::memory_order_release,
                                                std::memory_order_relaxed));
        return before == nullptr;  // `added` may be gone by now
    }

    // Gives all that has come to `each`, as std::unique_ptr<Item>, the oldest first. One thread at
    // a time.
    template <class Each>
    void take(Each&& each) {
        Item* latest = latest_.exchange(nullptr, std::memory_order_acquire);
        Item* oldest = nullptr;
        while (latest != nullptr) {
            Item* const before = std::exchange(latest->next, oldest);
            oldest = std::exchange(latest, before);
        }
        while (oldest != nullptr) {
            std::unique_ptr<Item> item(oldest);
            oldest = item->next;
            each(std::move(item));
        }
    }

  private:
    std::atomic<Item*> latest_ = nullptr;
};

}  // namespace tidepool::loop
