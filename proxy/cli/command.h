// What the commands on catalog and pools have in common on the command line.
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace tidepool::cli {

// A command of the program and what it does once its arguments were read; gives the exit status.
struct Command {
    CLI::App* parser;
    std::function<int()> run;
};

struct CommonOptions {
    std::string config;     // -c FILE
    std::string state_dir;  // --state-dir DIR
    bool json = false;      // --json: for programs
};

// Adds these three to a command.
void add_common(CLI::App& parser, CommonOptions& options);

// --state-dir alone, for the commands that are no Command.
void add_state_dir(CLI::App& parser, std::string& state_dir);

// Each adds its command to the program; one file per command, of the same name.
Command add_scan(CLI::App& program);
Command add_ls(CLI::App& program);
Command add_stat(CLI::App& program);
Command add_put(CLI::App& program);
Command add_get(CLI::App& program);
Command add_rm(CLI::App& program);
Command add_mv(CLI::App& program);
Command add_drain(CLI::App& program);
Command add_key(CLI::App& program);
Command add_purge(CLI::App& program);
Command add_mirror(CLI::App& program);
Command add_jobs(CLI::App& program);
Command add_tier(CLI::App& program);
Command add_reconcile(CLI::App& program);
Command add_backup(CLI::App& program);
Command add_stats(CLI::App& program);
Command add_variants(CLI::App& program);
Command add_edge(CLI::App& program);
Command add_sign(CLI::App& program);

}  // namespace tidepool::cli
