#include "conf/cidr.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace tidepool::conf {

namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;
constexpr unsigned kAddressBits = 128;

// Decimal without sign or leading zero, at most `limit`.
std::optional<unsigned> parse_bits(std::string_view text, unsigned limit) {
    if (text.empty() || (text.size() > 1 && text.front() == '0')) return {};
    unsigned value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || stop != text.data() + text.size() || value > limit) return {};
    return value;
}

bool bit(const IpAddress& address, unsigned index) {
    return (address.bytes[index / 8] >> (7 - index % 8) & 1) != 0;
}

bool has_bits_behind(const IpAddress& address, unsigned prefix_bits) {
    for (unsigned i = prefix_bits; i < kAddressBits; ++i) {
        if (bit(address, i)) return true;
    }
    return false;
}

}  // namespace

bool IpAddress::is_v4() const {
    return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

IpAddress client_network(IpAddress client) {
    constexpr std::ptrdiff_t kNetworkBytes = 8;
    if (!client.is_v4())
        std::fill(client.bytes.begin() + kNetworkBytes, client.bytes.end(), std::uint8_t{0});
    return client;
}

std::string client_network(std::string_view client) {
    const auto address = IpAddress::parse(client);
    if (!address || address->is_v4()) return std::string(client);
    return client_network(*address).text();
}

std::string IpAddress::text() const {
    if (is_v4()) {  // inet_ntop(3) prints these through snprintf(3): too slow for every log line
        std::string text;
        for (std::size_t i = kMappedPrefix.size(); i < bytes.size(); ++i) {
            if (!text.empty()) text.push_back('.');
            const fmt::format_int digits(bytes[i]);
            text.append(digits.data(), digits.size());
        }
        return text;
    }
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    inet_ntop(AF_INET6, bytes.data(), buffer.data(), buffer.size());
    return buffer.data();
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    // inet_pton reads up to a NUL, so one inside would hide what follows it.
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    if (text.size() >= buffer.size() || text.find('\0') != text.npos) return {};
    std::copy(text.begin(), text.end(), buffer.begin());

    IpAddress address;
    if (text.find(':') != text.npos) {
        if (inet_pton(AF_INET6, buffer.data(), address.bytes.data()) != 1) return {};
        return address;
    }
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes.begin());
    if (inet_pton(AF_INET, buffer.data(), address.bytes.data() + kMappedPrefix.size()) != 1) {
        return {};
    }
    return address;
}

bool Cidr::contains(const IpAddress& address) const {
    const std::size_t whole = prefix_bits / 8;
    if (std::memcmp(base.bytes.data(), address.bytes.data(), whole) != 0) return false;
    const unsigned rest = prefix_bits % 8;
    if (rest == 0) return true;
    const unsigned differ = base.bytes[whole] ^ address.bytes[whole];
    return differ >> (8 - rest) == 0;
}

std::string Cidr::text() const {
    // A mapped address has bits set up to the 96th, so a valid range of one is never wider than
    // that.
    const unsigned shown = base.is_v4() ? prefix_bits - kMappedBits : prefix_bits;
    return base.text() + "/" + std::to_string(shown);
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view address_text = text.substr(0, slash);
    const auto address = IpAddress::parse(address_text);
    if (!address) return {};
    if (slash == text.npos) return Cidr{*address, kAddressBits};

    // Counted as written: "::ffff:1.2.3.0/120" is IPv6 text and has 128 bits, "1.2.3.0/24" has 32.
    const bool v4_text = address_text.find(':') == address_text.npos;
    const unsigned hidden_bits = v4_text ? kMappedBits : 0;
    const auto bits = parse_bits(text.substr(slash + 1), kAddressBits - hidden_bits);
    if (!bits) return {};
    const Cidr range{*address, *bits + hidden_bits};
    if (has_bits_behind(range.base, range.prefix_bits)) return {};
    return range;
}

}  // namespace tidepool::conf
