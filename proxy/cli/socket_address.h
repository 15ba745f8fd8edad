// A listen address as the kernel takes it.
#pragma once

#include "conf/listen_address.h"

#include <sys/socket.h>

namespace tidepool::cli {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// To bind or to connect to.
SocketAddress to_socket_address(const conf::ListenAddress& address);

}  // namespace tidepool::cli
