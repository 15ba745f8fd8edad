// The sockets the server listens on: opened here, inherited from the process it replaces, or given
// by systemd.
#pragma once

#include "conf/error.h"
#include "conf/settings.h"

#include <map>
#include <string>
#include <vector>

namespace tidepool::cli {

// One listen address and its descriptors. TCP has one per loop (SO_REUSEPORT, so that the kernel
// deals connections out); a unix socket and systemd's have one that all loops share.
struct ListenSocket {
    std::string configured;  // as in the configuration; systemd's have a name of their own
    std::string actual;      // with the port the kernel chose
    std::vector<int> fds;
    bool ours = true;  // false: systemd's, which keeps a unix socket's path
};

// Descriptors handed over by the process that this one replaces, by the configured address. Two
// listeners may have the same, with port 0; they stand in the order in which they were opened.
using InheritedSockets = std::multimap<std::string, std::vector<int>>;

// Only the first call sees them; those that are not taken out of the map must be dropped.
InheritedSockets inherited_sockets();

// Closes what the new configuration no longer has.
void drop_sockets(const InheritedSockets& inherited);

// Opens all of them, or none. What is found in `inherited` is taken from there instead of being
// opened anew.
Result<std::vector<ListenSocket>> open_sockets(const std::vector<conf::ListenAddress>& addresses,
                                               const conf::ServerSettings& settings,
                                               unsigned per_address, InheritedSockets& inherited);

// systemd's sockets by role: those whose FileDescriptorName is "tls" or "admin", and all others.
struct ActivatedSockets {
    std::vector<ListenSocket> open;
    std::vector<ListenSocket> tls;
    std::vector<ListenSocket> admin;
};
// From systemd itself (sd_listen_fds(3)) or, in a successor, taken out of `inherited`.
ActivatedSockets activated_sockets(InheritedSockets& inherited);

// The value for kSocketsVariable that lets a successor inherit these.
std::string describe_for_successor(const std::vector<ListenSocket>& sockets);

inline constexpr const char* kSocketsVariable = "TIDEPOOL_SOCKETS";

}  // namespace tidepool::cli
