#include "proxy/serve/edge_memory.h"

#include "conf/ascii.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace tidepool::serve {

namespace {

// What comes out of the edge's memory, in whatever state that is.
constexpr std::array<std::string_view, 4> kFromMemory{"hit", "stale", "updating", "revalidated"};

}  // namespace

EdgeMemory judge_memory(const EdgeGlance& glance, std::int64_t told_ms, bool is_refused) {
    const bool is_shown = glance.status / 100 == 2 || glance.status / 100 == 3;
    if (is_refused && is_shown) return EdgeMemory::shown;
    const std::string said = conf::lower_case(glance.cache_status);
    if (std::ranges::find(kFromMemory, said) == kFromMemory.end() || !glance.age_s)
        return EdgeMemory::forgotten;
    return glance.at_ms - *glance.age_s * 1000 < told_ms ? EdgeMemory::kept : EdgeMemory::forgotten;
}

}  // namespace tidepool::serve
