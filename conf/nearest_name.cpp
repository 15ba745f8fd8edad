#include "conf/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace tidepool::conf {

namespace {

// Longer ones resemble no setting, and the distance costs the product of both lengths.
constexpr std::size_t kLongestName = 64;
// A name shorter than this is held by too many others to say anything.
constexpr std::size_t kTellingBytes = 4;

bool one_holds_the_other(std::string_view a, std::string_view b) {
    const auto& [shorter, longer] =
        std::minmax(a, b, [](auto x, auto y) { return x.size() < y.size(); });
    return shorter.size() >= kTellingBytes && longer.find(shorter) != longer.npos;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() +
                                 1);  // distances of a's first i characters to each beginning of b
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
        }
    }
    return row[b.size()];
}

std::optional<std::string_view> nearest_name(std::string_view name,
                                             std::span<const std::string_view> known) {
    if (name.empty() || name.size() > kLongestName) return {};
    const std::size_t allowed = std::max<std::size_t>(2, name.size() / 3);
    std::optional<std::string_view> nearest;
    std::size_t least = allowed + 1;
    for (const std::string_view candidate : known) {
        std::size_t distance = edit_distance(name, candidate);
        if (one_holds_the_other(name, candidate)) distance = std::min(distance, allowed);
        if (distance < least && distance < candidate.size()) {
            least = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

}  // namespace tidepool::conf
