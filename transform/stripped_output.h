// Where what is left of an image file goes, piece by piece, so that it is never in memory as a
// whole.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tidepool::transform {

// Not shared between threads.
class StrippedOutput {
  public:
    // Called with what comes next, of 64 KiB or more but for the last one; borrows the bytes only
    // while it runs.
    using Sink = std::function<void(std::string_view)>;

    explicit StrippedOutput(Sink sink) : sink_(std::move(sink)) {}

    void append(std::string_view bytes);
    // Its lowest bytes, the highest of them first.
    void append_big(std::uint64_t value, int count);
    void append_little(std::uint64_t value, int count);
    // Passes on what is kept back: after the last piece.
    void flush();

    std::uint64_t size() const { return size_; }

  private:
    Sink sink_;
    std::string kept_back_;
    std::uint64_t size_ = 0;
};

}  // namespace tidepool::transform
