#include "transform/stripped_output.h"

#include <cstddef>

namespace tidepool::transform {

void StrippedOutput::append(std::string_view bytes) {
    constexpr std::size_t kLeast = 64 << 10;  // smaller pieces cost more than their copy
    size_ += bytes.size();
    if (kept_back_.size() + bytes.size() < kLeast) {
        kept_back_ += bytes;
        return;
    }
    flush();
    if (bytes.size() < kLeast)
        kept_back_ = bytes;
    else
        sink_(bytes);
}

void StrippedOutput::append_big(std::uint64_t value, int count) {
    while (count-- > 0) {
        const char byte = static_cast<char>(value >> (8 * count) & 0xFF);
        append({&byte, 1});
    }
}

void StrippedOutput::append_little(std::uint64_t value, int count) {
    for (; count > 0; --count, value >>= 8) {
        const char byte = static_cast<char>(value & 0xFF);
        append({&byte, 1});
    }
}

void StrippedOutput::flush() {
    if (!kept_back_.empty()) sink_(kept_back_);
    kept_back_.clear();
}

}  // namespace tidepool::transform
