#include "proxy/upload/shared_places.h"

#include <algorithm>

namespace tidepool::upload {

std::expected<SharedPlaces::Place, SharedPlaces::Full> SharedPlaces::take(
    std::string_view holder, std::size_t most, std::size_t most_per_holder) {
    const std::lock_guard lock(mutex_);
    if (holders_.size() >= most) return std::unexpected(Full::of_all);
    const auto taken = std::ranges::count(holders_, holder);
    if (static_cast<std::size_t>(taken) >= most_per_holder) return std::unexpected(Full::of_holder);
    holders_.emplace_back(holder);
    return Place(*this, std::string(holder));
}

void SharedPlaces::leave(const std::string& holder) {
    const std::lock_guard lock(mutex_);
    holders_.erase(std::ranges::find(holders_, holder));
}

}  // namespace tidepool::upload
