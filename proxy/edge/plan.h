// What becomes of an answer at the edge and in a browser, and why.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tidepool::edge {

struct Reason {
    std::string source;  // the header or the rule that it comes from
    std::string text;
};
using Reasons = std::vector<Reason>;

struct EdgePlan {
    bool is_eligible = false;  // by the extension
    bool stores = false;
    std::string cache_status;           // CF-Cache-Status of the first answer
    std::optional<std::int64_t> ttl_s;  // nothing where it stores nothing
    std::string ttl_source;             // as in Reason; "" where it stores nothing
    bool revalidates_always = false;    // asks the origin before each use
    std::int64_t stale_while_revalidate_s = 0;
    std::int64_t stale_if_error_s = 0;
    std::vector<std::string> removes;  // names of fields that the visitor does not get
};

struct BrowserPlan {
    bool stores = false;
    std::optional<std::int64_t> ttl_s;  // nothing where it stores nothing, or guesses
    bool revalidates_always = false;
    bool is_immutable = false;  // does not ask again on a reload either
    std::int64_t stale_while_revalidate_s = 0;
};

}  // namespace tidepool::edge
