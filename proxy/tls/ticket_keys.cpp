#include "proxy/tls/ticket_keys.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include <openssl/rand.h>

namespace tidepool::tls {

namespace {

TicketKey make_ticket_key() {
    TicketKey key;
    // Without randomness there is no TLS either.
    if (RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) != 1 ||
        RAND_priv_bytes(key.cipher.data(), static_cast<int>(key.cipher.size())) != 1 ||
        RAND_priv_bytes(key.mac.data(), static_cast<int>(key.mac.size())) != 1)
        std::abort();
    return key;
}

}  // namespace

std::int64_t TicketKeys::steady_s() {
    return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::seconds(1);
}

void TicketKeys::rotate(std::int64_t rotation_s) {
    const std::int64_t now_s = clock_();
    while (!keys_.empty() && now_s - keys_.back().made_s >= 2 * rotation_s)
        keys_.pop_back();
    if (keys_.empty() || now_s - keys_.front().made_s >= rotation_s)
        keys_.push_front({make_ticket_key(), now_s});
}

TicketKey TicketKeys::current(std::int64_t rotation_s) {
    const std::lock_guard lock(mutex_);
    rotate(rotation_s);
    return keys_.front().key;
}

std::optional<TicketKeys::Found> TicketKeys::find(std::span<const std::uint8_t, 16> name,
                                                  std::int64_t rotation_s) {
    const std::lock_guard lock(mutex_);
    rotate(rotation_s);
    for (const Aged& each : keys_) {
        if (std::ranges::equal(each.key.name, name))
            return Found{each.key, &each == &keys_.front()};
    }
    return std::nullopt;
}

}  // namespace tidepool::tls
