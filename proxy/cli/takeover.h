// Handing the listening sockets to a new process of (a newer version of) this program.
#pragma once

#include "conf/error.h"
#include "proxy/cli/listen_sockets.h"

#include <chrono>
#include <string>
#include <vector>

#include <sys/types.h>

namespace tidepool::cli {

// A successor that has been started and has not yet said that it serves.
struct Successor {
    pid_t pid = 0;
    int ready_fd = -1;  // becomes readable when it serves (one byte) or has failed (end of file)
};

// Starts `arguments` (argv, the first an absolute path) with the sockets and, as its environment
// says where, the writing end of a pipe.
Result<Successor> start_successor(const std::vector<std::string>& arguments,
                                  const std::vector<ListenSocket>& sockets);

// Until when it has to say so.
inline constexpr std::chrono::seconds kSuccessorTime{30};

// In the successor, until it has told it: there is a process that started it, and still serves.
bool has_predecessor();

// In the successor: tells the process that started it, if one did, that it may drain.
void tell_predecessor();

// The absolute path of this program as it was started: what stands there after an upgrade is the
// new version.
std::string program_path(const std::string& argument_zero);

}  // namespace tidepool::cli
