#include "proxy/serve/edge_memory.h"

#include "conf/ascii.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace tidepool::serve {

namespace {

// What comes out of the edge's memory, in whatever state that is.
constexpr std::array<std::string_view, 4> kFromMemory{"hit", "stale", "updating", "revalidated"};
// What the edge answers before it looks there: by a rule of the zone, or to a robot.
constexpr std::array<std::string_view, 3> kBeforeMemory{"", "none", "unknown"};

bool is_one_of(std::string_view said, std::span<const std::string_view> words) {
    return std::ranges::find(words, said) != words.end();
}

}  // namespace

bool says_of_all(int status) {
    return status == 429 || status >= 500;
}

EdgeMemory judge_memory(const EdgeGlance& glance, std::int64_t told_ms, bool is_refused) {
    const std::string said = conf::lower_case(glance.cache_status);
    const bool is_before = is_one_of(said, kBeforeMemory);
    // Where a rule of the zone redirects, that shows nothing of the image.
    const bool is_shown = glance.status / 100 == 2 || (glance.status / 100 == 3 && !is_before);
    if (is_refused && is_shown) return EdgeMemory::shown;
    if (is_one_of(said, kFromMemory) && glance.age_s) {
        const bool is_older = glance.at_ms - *glance.age_s * 1000 < told_ms;
        return is_older ? EdgeMemory::kept : EdgeMemory::forgotten;
    }
    if (is_before || says_of_all(glance.status)) return EdgeMemory::unsaid;
    return EdgeMemory::forgotten;
}

}  // namespace tidepool::serve
