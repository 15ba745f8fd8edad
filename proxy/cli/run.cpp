#include "proxy/cli/run.h"

#include "conf/bytes.h"
#include "proxy/cli/command.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/takeover.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

// A store or a pipe that closes is an error like others, not a signal's death: `tidepool ls | head`
// ends with status 1 once nobody reads on.
int run_command(const Command& command) {
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return command.run();
    } catch (const std::system_error& error) {  // fmt's, where standard output takes no more
        if (error.code().value() != EPIPE) fmt::print(stderr, "tidepool: {}\n", error.what());
        return 1;
    }
}

}  // namespace

int run(int argument_count, char** argument_values) {
    CLI::App app("The origin server for image hosts behind Cloudflare.", "tidepool");
    app.set_version_flag("--version", TIDEPOOL_VERSION);
    app.require_subcommand(1);

    ServeOptions options;
    CLI::App& serving = *app.add_subcommand(
        "serve", "Serve images; SIGTERM drains, SIGHUP reloads, SIGUSR2 upgrades");
    auto* const config =
        serving.add_option("-c,--config", options.config, "configuration file")->type_name("FILE");
    serving.add_option("--root", options.root, "serve this folder as /uploads/, without a file")
        ->type_name("DIR")
        ->check(CLI::ExistingDirectory)
        ->excludes(config);
    serving
        .add_option("--listen", options.listen, "address instead of server.listen; may be repeated")
        ->type_name("ADDR");
    serving
        .add_option("--admin-listen", options.admin_listen,
                    "address instead of admin.listen; may be repeated")
        ->type_name("ADDR");
    add_state_dir(serving, options.state_dir);

    ServeOptions checked;
    CheckOptions how;
    CLI::App& checking = *app.add_subcommand("check", "Check a configuration and its pools");
    checking.add_option("-c,--config", checked.config, "configuration file")
        ->type_name("FILE")
        ->required();
    checking.add_flag("--write", how.write,
                      "also store something small in each pool and remove it");
    const auto read_patience = [&how](const std::string& text) {
        const auto patience = conf::parse_duration(text);
        if (!patience || patience->count() == 0 || *patience > std::chrono::hours(1))
            throw CLI::ValidationError("--timeout", "expected a time up to 1h, such as 1m");
        how.patience = *patience;
    };
    checking
        .add_option_function<std::string>("--timeout", read_patience,
                                          "how long each pool may take to answer; 1m")
        ->type_name("TIME");
    add_state_dir(checking, checked.state_dir);

    const std::array commands{
        add_scan(app), add_ls(app),        add_stat(app),   add_put(app),      add_get(app),
        add_rm(app),   add_mv(app),        add_stats(app),  add_variants(app), add_jobs(app),
        add_tier(app), add_reconcile(app), add_backup(app), add_mirror(app),   add_drain(app),
        add_key(app),  add_edge(app),      add_sign(app),   add_purge(app)};

    try {
        app.parse(argument_count, argument_values);
        if (serving.parsed() && options.config.empty() && options.root.empty()) {
            throw CLI::RequiredError("serve: -c FILE or --root DIR");
        }
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (checking.parsed()) return check(checked, how);
    for (const Command& command : commands) {
        if (command.parser->parsed()) return run_command(command);
    }
    std::vector<std::string> arguments(argument_values, argument_values + argument_count);
    arguments.front() = program_path(arguments.front());
    return serve(options, arguments);
}

}  // namespace tidepool::cli
