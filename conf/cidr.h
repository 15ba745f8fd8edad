// Address ranges ("173.245.48.0/20", "2400:cb00::/32") and addresses tested against them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::conf {

// An IP address in one form: IPv4 is kept as the mapped IPv6 address ::ffff:a.b.c.d, so that a
// dual-stack socket's peers compare equal to plain ones.
struct IpAddress {
    std::array<std::uint8_t, 16> bytes{};
    bool operator==(const IpAddress&) const = default;

    bool is_v4() const;
    // Dotted quad or RFC 5952 text.
    std::string text() const;
    // Exactly one address, no port, no brackets, no zone, no blanks; nothing for anything else.
    static std::optional<IpAddress> parse(std::string_view text);
};

// What one client may be taken to have of addresses, for limits by address: who has one address of
// IPv6 has 2^64 of them, so those of a /64 are one (RFC 6177, 2). Text that is no address (of a
// unix socket there is none) is returned as it is.
std::string client_network(std::string_view client);
// The first address of that network.
IpAddress client_network(IpAddress client);

// A range of addresses. `prefix_bits` counts in the 128-bit form (an IPv4 /20 is 116).
struct Cidr {
    IpAddress base;
    unsigned prefix_bits = 128;
    bool operator==(const Cidr&) const = default;

    bool contains(const IpAddress& address) const;
    std::string text() const;
    // "ADDRESS/BITS" or a single address. Bits set behind the prefix are an error, so that a slip
    // of the pen does not trust a wider range than meant.
    static std::optional<Cidr> parse(std::string_view text);
};

// Cloudflare's published ranges, the snapshot that ships with the program (contracts:
// cloudflare.md 2.3, 2026-02-11).
std::vector<Cidr> cloudflare_ranges();

}  // namespace tidepool::conf
