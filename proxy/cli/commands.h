// The commands of the program. Each returns the exit status: 0 done, 1 failed, 2 wrong usage or
// configuration.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace tidepool::cli {

struct ServeOptions {
    std::string config;  // -c FILE; "" = none
    std::string root;    // --root DIR: one local pool
    std::string
        state_dir;  // --state-dir DIR: where catalog and shelf are; "" = where the file says
    std::vector<std::string> listen;
    std::vector<std::string> admin_listen;
};

// tidepool serve: runs until SIGTERM or SIGINT has drained it. SIGHUP reloads, SIGUSR1 reopens the
// access log, SIGUSR2 starts a successor from the same file and hands over to it. `arguments` is
// the command line, for that successor.
int serve(const ServeOptions& options, const std::vector<std::string>& arguments);

struct CheckOptions {
    bool write = false;                          // --write
    std::chrono::milliseconds patience{60'000};  // --timeout: that each pool has to answer
};

// tidepool check: reads the configuration and looks at access log, catalog and each pool; with
// `write` also stores and removes something small in each pool.
int check(const ServeOptions& options, const CheckOptions& how);

}  // namespace tidepool::cli
