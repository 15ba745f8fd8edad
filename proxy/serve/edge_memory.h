// Whether the edge still remembers what it was told to forget, by what it gives to a visitor
// (contracts: cloudflare.md 3.10). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tidepool::serve {

// An answer of the edge, as far as it tells of its memory. Times are milliseconds since 1970, by
// our clock.
struct EdgeGlance {
    int status = 0;
    std::string cache_status{};           // CF-Cache-Status, as sent; "" where there is none
    std::optional<std::int64_t> age_s{};  // of Age
    std::int64_t at_ms = 0;               // when it had come
};

enum class EdgeMemory : std::uint8_t {
    forgotten,
    kept,    // it gives what it had before it was told to forget
    shown,   // it gives something where visitors are to be refused
    unsaid,  // it did not come to look into it, or could not answer
};

// Whether this status is about all of a host rather than one URL: it is asked too much, or nobody
// behind the edge answers.
bool says_of_all(int status);

// `told_ms` is when the call began that told it to forget. An answer that is as old as that by its
// Age, which counts whole seconds, is called kept only where it is older for sure.
EdgeMemory judge_memory(const EdgeGlance& glance, std::int64_t told_ms, bool is_refused);

}  // namespace tidepool::serve
