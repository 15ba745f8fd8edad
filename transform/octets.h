// Numbers in files whose formats fix the order of their bytes. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tidepool::transform {

inline std::uint8_t octet_at(std::string_view file, std::size_t at) {
    return static_cast<std::uint8_t>(file[at]);
}

// Numbers of `count` bytes, at most eight, the most or the least significant one first. The caller
// sees to it that they are in the file.
inline std::uint64_t big_number(std::string_view file, std::size_t at, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i)
        value = value << 8 | octet_at(file, at + i);
    return value;
}
inline std::uint64_t little_number(std::string_view file, std::size_t at, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;)
        value = value << 8 | octet_at(file, at + i);
    return value;
}

}  // namespace tidepool::transform
