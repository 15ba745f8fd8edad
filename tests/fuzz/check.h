// What a fuzz target claims; a claim that fails ends the run and leaves the input behind.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace tidepool::fuzz {

inline void check(bool holds, std::source_location at = std::source_location::current()) {
    if (holds) return;
    std::fprintf(stderr, "%s:%u: claim does not hold\n", at.file_name(), at.line());
    std::abort();
}

}  // namespace tidepool::fuzz
