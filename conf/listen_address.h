// Where the server accepts connections, as text and in parts.
#pragma once

#include "conf/error.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tidepool::conf {

// The text form is "HOST:PORT", "[V6]:PORT" or "unix:PATH".
struct ListenAddress {
    enum class Family : std::uint8_t { inet4, inet6, unix_path };
    Family family = Family::inet4;
    std::string host;        // numeric address without brackets, or the path of a unix socket
    std::uint16_t port = 0;  // 0 lets the kernel choose; the log says which it was
    bool operator==(const ListenAddress&) const = default;

    // parse_listen_address reads it back.
    std::string text() const;
    // True where both cannot be listened on at once: the same address, or the same port where one
    // of the two is every address of the family. Port 0 never collides.
    bool collides_with(const ListenAddress& other) const;
};

// Reads the text form. Names are never looked up: the answer must not depend on DNS at boot. IPv6
// addresses are kept in their RFC 5952 form, so that equal ones compare equal. Unix paths are
// absolute and at most 107 bytes (sun_path). ErrorKind::invalid with a hint for anything else.
Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace tidepool::conf
