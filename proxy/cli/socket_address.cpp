#include "proxy/cli/socket_address.h"

#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace tidepool::cli {

SocketAddress to_socket_address(const conf::ListenAddress& address) {
    using Family = conf::ListenAddress::Family;
    SocketAddress result;
    if (address.family == Family::inet4) {
        auto& v4 = reinterpret_cast<sockaddr_in&>(result.storage);
        v4.sin_family = AF_INET;
        v4.sin_port = htons(address.port);
        inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr);
        result.length = sizeof v4;
    } else if (address.family == Family::inet6) {
        auto& v6 = reinterpret_cast<sockaddr_in6&>(result.storage);
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(address.port);
        inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr);
        result.length = sizeof v6;
    } else {
        auto& local = reinterpret_cast<sockaddr_un&>(result.storage);
        local.sun_family = AF_UNIX;
        std::memcpy(local.sun_path, address.host.data(), address.host.size());
        result.length = sizeof local;
    }
    return result;
}

}  // namespace tidepool::cli
