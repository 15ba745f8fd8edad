#include "proxy/cli/listen_sockets.h"

#include "proxy/cli/socket_address.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

namespace tidepool::cli {

namespace {

using Family = conf::ListenAddress::Family;

// What systemd's sockets are called when they are handed to a successor; no address looks so.
constexpr const char* kSystemdPublic = "systemd:http";
constexpr const char* kSystemdTls = "systemd:tls";
constexpr const char* kSystemdAdmin = "systemd:admin";

std::string actual_address(int fd) {
    SocketAddress bound;
    bound.length = sizeof bound.storage;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound.storage), &bound.length) != 0)
        return "unknown";
    char text[INET6_ADDRSTRLEN] = {};
    if (bound.storage.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(bound.storage);
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        return fmt::format("{}:{}", text, ntohs(v4.sin_port));
    }
    if (bound.storage.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(bound.storage);
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        return fmt::format("[{}]:{}", text, ntohs(v6.sin6_port));
    }
    return fmt::format("unix:{}", reinterpret_cast<const sockaddr_un&>(bound.storage).sun_path);
}

void switch_on(int fd, int level, int option) {
    const int on = 1;
    setsockopt(fd, level, option, &on, sizeof on);
}

// A socket file that nobody listens on any more would make bind fail; one that somebody listens on
// must.
void remove_dead_socket(const SocketAddress& address, const std::string& path) {
    struct stat status{};
    if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return;
    const bool dead = connect(probe, address.get(), address.length) != 0 && errno == ECONNREFUSED;
    close(probe);
    if (dead) unlink(path.c_str());
}

Result<int> open_one(const conf::ListenAddress& address, const SocketAddress& where,
                     const conf::ServerSettings& settings) {
    const int fd = socket(where.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail_errno(errno, "listen " + address.text());
    if (address.family == Family::unix_path) {
        remove_dead_socket(where, address.host);
    } else {
        switch_on(fd, SOL_SOCKET, SO_REUSEADDR);
        switch_on(fd, SOL_SOCKET, SO_REUSEPORT);
        switch_on(fd, IPPROTO_TCP, TCP_NODELAY);  // accepted sockets inherit it
        // Given in seconds: the least that there is.
        if (settings.defer_accept) switch_on(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT);
        if (address.family == Family::inet6) switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    }
    const bool listening =
        bind(fd, where.get(), where.length) == 0 &&
        (address.family != Family::unix_path ||
         chmod(address.host.c_str(), static_cast<mode_t>(settings.socket_mode)) == 0) &&
        listen(fd, static_cast<int>(settings.backlog)) == 0;
    if (listening) return fd;
    const int error = errno;
    close(fd);
    return fail_errno(error, "listen " + address.text());
}

// With SO_REUSEPORT a second server would quietly take half of the connections of a first one that
// has the port.
Result<void> check_port_is_free(const conf::ListenAddress& address, const SocketAddress& where) {
    if (address.family == Family::unix_path || address.port == 0) return {};
    const int fd = socket(where.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail_errno(errno, "listen " + address.text());
    switch_on(fd, SOL_SOCKET, SO_REUSEADDR);
    if (address.family == Family::inet6) switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    const bool is_free = bind(fd, where.get(), where.length) == 0;
    const int error = errno;
    close(fd);
    if (!is_free) return fail_errno(error, "listen " + address.text());
    return {};
}

// The sockets behind the first must name the port that the kernel gave it.
void use_chosen_port(SocketAddress& where, int fd) {
    where.length = sizeof where.storage;
    getsockname(fd, reinterpret_cast<sockaddr*>(&where.storage), &where.length);
}

Result<ListenSocket> open_address(const conf::ListenAddress& address,
                                  const conf::ServerSettings& settings, unsigned count) {
    SocketAddress where = to_socket_address(address);
    if (auto is_free = check_port_is_free(address, where); !is_free)
        return std::unexpected(is_free.error());
    if (address.family == Family::unix_path) count = 1;
    ListenSocket result{address.text(), {}, {}, true};
    for (unsigned i = 0; i < count; ++i) {
        const auto fd = open_one(address, where, settings);
        if (!fd) {
            for (const int opened : result.fds)
                close(opened);
            return std::unexpected(fd.error());
        }
        result.fds.push_back(*fd);
        if (i == 0) use_chosen_port(where, *fd);
    }
    result.actual = actual_address(result.fds.front());
    return result;
}

std::optional<int> take_number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

Result<std::vector<ListenSocket>> open_sockets(const std::vector<conf::ListenAddress>& addresses,
                                               const conf::ServerSettings& settings,
                                               unsigned per_address, InheritedSockets& inherited) {
    std::vector<ListenSocket> sockets;
    for (const conf::ListenAddress& address : addresses) {
        if (auto found = inherited.extract(address.text())) {
            sockets.push_back({address.text(), actual_address(found.mapped().front()),
                               std::move(found.mapped()), true});
            continue;
        }
        auto opened = open_address(address, settings, per_address);
        if (!opened) {
            for (const ListenSocket& socket : sockets) {
                for (const int fd : socket.fds)
                    close(fd);
            }
            return std::unexpected(opened.error());
        }
        sockets.push_back(std::move(*opened));
    }
    return sockets;
}

ActivatedSockets activated_sockets(InheritedSockets& inherited) {
    char** names = nullptr;
    const int count = sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < count; ++i) {
        const int fd = SD_LISTEN_FDS_START + i;
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        switch_on(fd, IPPROTO_TCP, TCP_NODELAY);
        const std::string_view name = names[i];
        inherited.emplace(name == "admin" ? kSystemdAdmin
                          : name == "tls" ? kSystemdTls
                                          : kSystemdPublic,
                          std::vector{fd});
        std::free(names[i]);  // NOLINT(cppcoreguidelines-no-malloc): sd_listen_fds_with_names
                              // allocates so
    }
    std::free(static_cast<void*>(names));

    ActivatedSockets result;
    for (const auto& [name, group] :
         {std::pair(kSystemdPublic, &result.open), std::pair(kSystemdTls, &result.tls),
          std::pair(kSystemdAdmin, &result.admin)}) {
        while (const auto node = inherited.extract(name)) {
            for (const int fd : node.mapped())
                group->push_back({name, actual_address(fd), {fd}, false});
        }
    }
    return result;
}

// "ADDRESS=FD,FD;ADDRESS=FD": no address holds '=' or ';' but a unix path might, which the
// successor then opens anew.
std::string describe_for_successor(const std::vector<ListenSocket>& sockets) {
    std::string text;
    for (const ListenSocket& socket : sockets) {
        text += fmt::format("{}{}={}", text.empty() ? "" : ";", socket.configured,
                            fmt::join(socket.fds, ","));
    }
    return text;
}

InheritedSockets inherited_sockets() {
    InheritedSockets result;
    const char* const value =
        std::getenv(kSocketsVariable);  // NOLINT(concurrency-mt-unsafe): before any thread
    std::string_view rest = value == nullptr ? "" : value;
    while (!rest.empty()) {
        const std::string_view entry = rest.substr(0, rest.find(';'));
        rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
        const std::size_t equals = entry.rfind('=');
        if (equals == std::string_view::npos) continue;
        std::string_view fds = entry.substr(equals + 1);
        std::vector<int> usable;
        while (!fds.empty()) {
            const std::string_view number = fds.substr(0, fds.find(','));
            fds.remove_prefix(std::min(number.size() + 1, fds.size()));
            const auto fd = take_number(number);
            if (!fd || fcntl(*fd, F_SETFD, FD_CLOEXEC) != 0) continue;
            usable.push_back(*fd);
        }
        if (!usable.empty()) result.emplace(entry.substr(0, equals), std::move(usable));
    }
    unsetenv(kSocketsVariable);  // NOLINT(concurrency-mt-unsafe): before any thread
    return result;
}

void drop_sockets(const InheritedSockets& inherited) {
    for (const auto& [configured, fds] : inherited) {
        for (const int fd : fds)
            close(fd);
        // Whoever opened its file has gone without removing it. systemd's are called otherwise.
        if (configured.starts_with("unix:")) unlink(configured.c_str() + 5);
    }
}

}  // namespace tidepool::cli
