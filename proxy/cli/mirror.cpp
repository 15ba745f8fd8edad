// tidepool mirror status | run | prune: the copies that pools have of the objects of others.
#include "conf/random_name.h"
#include "proxy/cli/command.h"
#include "proxy/cli/copy_state.h"
#include "proxy/cli/job_wait.h"
#include "proxy/cli/output.h"
#include "storage/mirrors.h"

#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

struct MirrorArguments : CommonOptions {
    std::string pool;
    bool dry_run = false;
};

int prune(Workspace& workspace, const MirrorArguments& arguments) {
    const auto pool = workspace.find_pool(arguments.pool);
    if (!pool) return wrong_use(pool.error(), arguments.json);
    if ((*pool)->settings.is_backup_target) {
        return wrong_use({ErrorKind::invalid, "backups are no copies of a mirror"}, arguments.json);
    }
    const std::string batch = arguments.dry_run ? "" : fmt::format("prune {}", conf::random_name());
    const auto pruned = storage::prune_mirror(workspace.catalog(), workspace.drivers(), (*pool)->id,
                                              batch, now_s());
    if (!pruned) return failed(pruned.error(), arguments.json);
    std::uint64_t left = pruned->stale;
    std::uint64_t failures = 0;
    if (!arguments.dry_run) {
        const auto end = await_batch(workspace, batch, "prune");
        if (!end) return failed(end.error(), arguments.json);
        failures = end->failed + end->cancelled + end->paused;
        // Some may be left to jobs that moves had queued before, and that wait for move.grace.
        const auto again = storage::prune_mirror(workspace.catalog(), workspace.drivers(),
                                                 (*pool)->id, "", now_s());
        if (!again) return failed(again.error(), arguments.json);
        left = again->stale;
    }
    if (arguments.json) {
        print_json({{"pool", arguments.pool},
                    {"stale", pruned->stale},
                    {"bytes", pruned->bytes},
                    {"left", left},
                    {"lone", pruned->lone},
                    {"kept", pruned->kept}});
    } else {
        fmt::print(
            "{} copies in pool {} are of no use any more, {}; {} are. {} of no use are left\n",
            pruned->stale, arguments.pool, human_size(pruned->bytes), pruned->kept, left);
        if (pruned->lone > 0)
            fmt::print("{} copies are the last that is known of their objects, and stay\n",
                       pruned->lone);
    }
    return failures > 0 || (left > 0 && !arguments.dry_run) ? 1 : 0;
}

}  // namespace

Command add_mirror(CLI::App& program) {
    auto arguments = std::make_shared<MirrorArguments>();
    CLI::App& parser =
        *program.add_subcommand("mirror", "Copies in the pools that mirror others (pool.mirror)");
    parser.require_subcommand(1);
    CLI::App& status = *parser.add_subcommand(
        "status", "What has a copy, and what has none; status 1 where one is missing");
    CLI::App& run = *parser.add_subcommand("run", "Copy what is missing, at once");
    CLI::App& pruning = *parser.add_subcommand(
        "prune", "Remove from a pool the copies of what is no longer mirrored there");
    for (CLI::App* each : {&status, &run, &pruning})
        add_common(*each, *arguments);
    pruning.add_option("POOL", arguments->pool, "that has them")->required();
    pruning.add_flag("--dry-run", arguments->dry_run, "say what would be removed");
    return {&parser, [arguments, &status, &run] {
                auto workspace = Workspace::open(*arguments);
                if (!workspace) return workspace.error();
                if (status.parsed())
                    return show_copies(*workspace, CopyKind::mirror, arguments->json);
                if (run.parsed()) return make_copies(*workspace, CopyKind::mirror, arguments->json);
                return prune(*workspace, *arguments);
            }};
}

}  // namespace tidepool::cli
