// The keys that seal session tickets (RFC 5077, 4; RFC 8446, 4.6.1).
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <span>

namespace tidepool::tls {

struct TicketKey {
    std::array<std::uint8_t, 16> name{};
    std::array<std::uint8_t, 32> cipher{};
    std::array<std::uint8_t, 32> mac{};
};

// A key seals for a time, then opens for as long again what it has sealed, then is gone, with what
// was said over TLS 1.2 by its tickets. They are made here, of the system's own randomness, and are
// nowhere but in memory: who takes over from this process makes its own, and clients shake hands
// once in full.
//
// Any thread.
class TicketKeys {
  public:
    // Gives seconds and does not go back. Called by any thread.
    using Clock = std::int64_t (*)();
    explicit TicketKeys(Clock clock = &TicketKeys::steady_s) : clock_(clock) {}

    std::int64_t now_s() const { return clock_(); }
    // The key that seals now; a new one where the last has sealed for `rotation_s`.
    TicketKey current(std::int64_t rotation_s);

    struct Found {
        TicketKey key;
        bool is_current = true;  // false: give out a new ticket
    };
    // The one of that name, if it still opens.
    std::optional<Found> find(std::span<const std::uint8_t, 16> name, std::int64_t rotation_s);

  private:
    struct Aged {
        TicketKey key;
        std::int64_t made_s = 0;
    };
    static std::int64_t steady_s();
    void rotate(std::int64_t rotation_s);

    const Clock clock_;
    std::mutex mutex_;
    std::deque<Aged> keys_;  // the newest first
};

}  // namespace tidepool::tls
