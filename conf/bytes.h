// Sizes and durations as people write them: "64MiB", "250ms".
#pragma once

#include "conf/error.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidepool::conf {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
constexpr std::uint64_t kTiB = 1024 * kGiB;

// A whole number and its unit, without a blank: B, KiB, MiB, GiB, TiB (powers of 1024) or kB, MB,
// GB, TB (powers of 1000); no unit means bytes. ErrorKind::invalid for anything else and for 2^64
// and more.
Result<std::uint64_t> parse_size(std::string_view text);

// The shortest exact text in powers of 1024: 65536 is "64KiB", 65537 is "65537B". parse_size reads
// it back.
std::string format_size(std::uint64_t bytes);

// A whole number and its unit, without a blank: ms, s, m, h or d (24 h). ErrorKind::invalid for
// anything else and for what 63 bits of milliseconds do not hold.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// The shortest exact text in one unit: 930000 ms is "930s". parse_duration reads it back unless it
// is negative.
std::string format_duration(std::chrono::milliseconds duration);

}  // namespace tidepool::conf
