#include "proxy/upload/tokenless_places.h"

#include "conf/cidr.h"

#include <algorithm>

namespace tidepool::upload {

std::expected<TokenlessPlaces::Place, TokenlessPlaces::Full> TokenlessPlaces::take(
    std::string_view client, std::size_t most, std::size_t most_per_address) {
    std::string network = conf::client_network(client);
    const std::lock_guard lock(mutex_);
    if (networks_.size() >= most) return std::unexpected(Full::of_all);
    const auto taken = std::ranges::count(networks_, network);
    const bool is_limited = most_per_address != 0 && conf::IpAddress::parse(client).has_value();
    if (is_limited && static_cast<std::size_t>(taken) >= most_per_address)
        return std::unexpected(Full::of_address);
    networks_.push_back(network);
    return Place(*this, std::move(network));
}

void TokenlessPlaces::leave(const std::string& network) {
    const std::lock_guard lock(mutex_);
    networks_.erase(std::ranges::find(networks_, network));
}

}  // namespace tidepool::upload
