// A bounded queue of bytes between one writing and one reading thread, without locks.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace tidepool::serve {

class ByteRing {
  public:
    explicit ByteRing(std::size_t capacity)
        : capacity_(capacity), data_(std::make_unique_for_overwrite<char[]>(capacity)) {}

    // Writer: takes all of it or, where it does not fit, nothing.
    bool push(std::string_view text) {
        const std::size_t end = end_.load(std::memory_order_relaxed);
        if (text.size() > capacity_ - (end - begin_.load(std::memory_order_acquire))) return false;
        const std::size_t at = end % capacity_;
        const std::size_t first = std::min(text.size(), capacity_ - at);
        std::memcpy(data_.get() + at, text.data(), first);
        std::memcpy(data_.get(), text.data() + first, text.size() - first);
        end_.store(end + text.size(), std::memory_order_release);
        return true;
    }

    // Reader: everything there is, in order, as one or two stretches. They stay until they are
    // released.
    std::array<std::string_view, 2> content() const {
        const std::size_t begin = begin_.load(std::memory_order_relaxed);
        const std::size_t bytes = end_.load(std::memory_order_acquire) - begin;
        const std::size_t at = begin % capacity_;
        const std::size_t first = std::min(bytes, capacity_ - at);
        return {std::string_view(data_.get() + at, first),
                std::string_view(data_.get(), bytes - first)};
    }
    // Reader: makes room of the first `bytes` of the content.
    void release(std::size_t bytes) {
        begin_.store(begin_.load(std::memory_order_relaxed) + bytes, std::memory_order_release);
    }

    // Either: how full it is.
    std::size_t used() const {
        return end_.load(std::memory_order_relaxed) - begin_.load(std::memory_order_relaxed);
    }
    std::size_t capacity() const { return capacity_; }

  private:
    std::size_t capacity_;
    std::unique_ptr<char[]> data_;
    alignas(64) std::atomic<std::size_t> begin_ = 0;  // both only grow
    alignas(64) std::atomic<std::size_t> end_ = 0;
};

}  // namespace tidepool::serve
