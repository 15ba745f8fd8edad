// What Backblaze B2 charges, in dollars (contracts: b2-s3.md 6). For estimates: the list changes
// now and then, and some accounts have others.
#pragma once

#include "storage/catalog_records.h"

#include <algorithm>
#include <cstdint>

namespace tidepool::storage {

// Writes and removals (class A) cost nothing.
inline constexpr double kB2ClassB = 0.004 / 10'000;  // a read
inline constexpr double kB2ClassC = 0.004 / 1'000;   // a listing
inline constexpr std::int64_t kB2FreeCalls = 2'500;  // of class B and of class C, each UTC day
inline constexpr double kB2Egress = 0.01 / 1e9;      // a byte, past a free part of what is stored
inline constexpr double kB2Storage = 0.006 / 1e9;    // a byte for a month

// What more calls cost on a day on which so many were made already.
inline double b2_price(std::int64_t used, std::int64_t more, double each) {
    const auto charged = [](std::int64_t calls) {
        return static_cast<double>(std::max<std::int64_t>(0, calls - kB2FreeCalls));
    };
    return (charged(used + more) - charged(used)) * each;
}

}  // namespace tidepool::storage
