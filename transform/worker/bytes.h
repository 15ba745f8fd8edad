// A block of bytes that a library allocated.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace tidepool::transform {

// Owns the block. Any thread.
class Bytes {
  public:
    Bytes() = default;
    // `data` is given back by `release`, as its library wants it.
    Bytes(void* data, std::size_t size, void (*release)(void*))
        : data_(static_cast<char*>(data), release), size_(size) {}

    std::span<const char> view() const { return {data_.get(), size_}; }

  private:
    std::unique_ptr<char, void (*)(void*)> data_{nullptr, nullptr};
    std::size_t size_ = 0;
};

}  // namespace tidepool::transform
