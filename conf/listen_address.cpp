#include "conf/listen_address.h"

#include "conf/cidr.h"
#include "conf/quote.h"

#include <array>
#include <charconv>
#include <optional>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace tidepool::conf {

namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::size_t kUnixPathBytes = sizeof(sockaddr_un::sun_path) - 1;  // room for the NUL
constexpr std::string_view kForms =
    "write \"0.0.0.0:8080\", \"[::1]:8080\" or \"unix:/run/tidepool.sock\"";

std::unexpected<Error> refuse_address(std::string_view text, std::string_view why) {
    return fail(ErrorKind::invalid,
                quote(text) + " is no address to listen on: " + std::string(why));
}

Result<ListenAddress> parse_unix(std::string_view text) {
    const std::string_view path = text.substr(kUnixPrefix.size());
    if (path.empty() || path.front() != '/')
        return refuse_address(text, "the path after unix: starts with \"/\"");
    if (path.size() > kUnixPathBytes) {
        return refuse_address(
            text, "the path of a socket is at most " + std::to_string(kUnixPathBytes) + " bytes");
    }
    if (has_control_character(path))
        return refuse_address(text, "the path has a control character");
    return ListenAddress{ListenAddress::Family::unix_path, std::string(path), 0};
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    if (text.empty() || (text.size() > 1 && text.front() == '0')) return {};
    std::uint16_t port = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || stop != text.data() + text.size()) return {};
    return port;
}

// RFC 5952 text. Not IpAddress::text(), which would show a mapped address as dotted quad.
std::string canonical_v6(const IpAddress& address) {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    inet_ntop(AF_INET6, address.bytes.data(), buffer.data(), buffer.size());
    return buffer.data();
}

// `text` is "[V6]:PORT".
Result<ListenAddress> parse_bracketed(std::string_view text) {
    const std::size_t close = text.find("]:");
    if (close == text.npos) return refuse_address(text, "write \"[ADDRESS]:PORT\"");
    const std::string_view inside = text.substr(1, close - 1);
    const auto address = inside.find(':') == inside.npos ? std::nullopt : IpAddress::parse(inside);
    if (!address) return refuse_address(text, "no IPv6 address stands between the brackets");
    const auto port = parse_port(text.substr(close + 2));
    if (!port) return refuse_address(text, "a port is a number from 0 to 65535");
    return ListenAddress{ListenAddress::Family::inet6, canonical_v6(*address), *port};
}

bool looks_like_v6(std::string_view text) {
    return text.find(':') != text.npos &&
           text.find_first_not_of("0123456789abcdefABCDEF:.") == text.npos;
}

// Why "HOST" in "HOST:PORT" is not an IPv4 address.
std::string host_hint(std::string_view host, std::string_view port) {
    const std::string shown_port(port);
    if (host.empty()) {
        return "write \"0.0.0.0:" + shown_port +
               "\" for every IPv4 address or \"[::]:" + shown_port + "\" for every IPv6 address";
    }
    if (host == "localhost")
        return "names are not looked up, write \"127.0.0.1:" + shown_port + "\"";
    if (host == "*") return "write \"0.0.0.0:" + shown_port + "\" for every IPv4 address";
    if (looks_like_v6(host)) return "an IPv6 address stands in brackets, \"[::1]:8080\"";
    return "the host is a numeric address (names are not looked up); " + std::string(kForms);
}

Result<ListenAddress> parse_v4(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == text.npos) {
        if (text.starts_with('/'))
            return refuse_address(text, "write \"unix:PATH\" for a socket in the file system");
        if (parse_port(text)) return refuse_address(text, host_hint("", text));
        if (IpAddress::parse(text))
            return refuse_address(text,
                                  "the port is missing, write \"" + std::string(text) + ":8080\"");
        return refuse_address(text, kForms);
    }
    const std::string_view host = text.substr(0, colon);
    const std::string_view port_text = text.substr(colon + 1);
    const auto port = parse_port(port_text);
    if (!port) return refuse_address(text, "a port is a number from 0 to 65535");
    const bool is_v4 = host.find(':') == host.npos && IpAddress::parse(host);
    if (!is_v4) return refuse_address(text, host_hint(host, port_text));
    return ListenAddress{ListenAddress::Family::inet4, std::string(host), *port};
}

bool is_every_address(const ListenAddress& address) {
    return address.host == (address.family == ListenAddress::Family::inet4 ? "0.0.0.0" : "::");
}

}  // namespace

std::string ListenAddress::text() const {
    switch (family) {
        case Family::inet4:
            return host + ":" + std::to_string(port);
        case Family::inet6:
            return "[" + host + "]:" + std::to_string(port);
        case Family::unix_path:
            return std::string(kUnixPrefix) + host;
    }
    return {};
}

bool ListenAddress::collides_with(const ListenAddress& other) const {
    if (family != other.family) return false;
    if (family == Family::unix_path) return host == other.host;
    if (port != other.port || port == 0) return false;
    return host == other.host || is_every_address(*this) || is_every_address(other);
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
    if (text.starts_with(kUnixPrefix)) return parse_unix(text);
    if (text.starts_with('[')) return parse_bracketed(text);
    return parse_v4(text);
}

}  // namespace tidepool::conf
