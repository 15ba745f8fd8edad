// tidepool backup status | run | verify | restore: the copies of originals in backup pools.
#include "proxy/cli/command.h"
#include "proxy/cli/copy_state.h"
#include "proxy/cli/output.h"
#include "proxy/cli/progress.h"
#include "proxy/cli/workspace.h"
#include "storage/backups.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

struct BackupArguments : CommonOptions {
    std::size_t sample = 100;
    std::string image;
    std::string to;
};

int status(Workspace& workspace, const BackupArguments& arguments) {
    return show_copies(workspace, CopyKind::backup, arguments.json);
}

int run(Workspace& workspace, const BackupArguments& arguments) {
    return make_copies(workspace, CopyKind::backup, arguments.json);
}

int verify(Workspace& workspace, const BackupArguments& arguments) {
    if (auto has = require_copies(workspace, CopyKind::backup); !has)
        return wrong_use(has.error(), arguments.json);
    std::uint64_t seen = 0;
    std::uint64_t bad = 0;
    Json problems = Json::array();
    for (const KnownPool& pool : workspace.pools()) {
        if (!pool.settings.is_backup_target || !pool.problem.empty()) continue;
        Progress progress("verify " + pool.settings.name);
        const auto verified =
            storage::verify_backups(workspace.catalog(), workspace.drivers(), pool.id,
                                    arguments.sample, [&](const storage::VerifiedBackup& each) {
                                        progress.update(++seen, std::nullopt, " backups");
                                        if (!each.problem) return;
                                        problems.push_back({{"pool", pool.settings.name},
                                                            {"key", each.backup.key},
                                                            {"original", each.backup.original},
                                                            {"error", name_of(each.problem->kind)},
                                                            {"message", each.problem->text}});
                                        if (!arguments.json) failed(*each.problem);
                                    });
        if (!verified) return failed(verified.error(), arguments.json);
        bad += *verified;
    }
    if (arguments.json) {
        print_json({{"verified", seen}, {"bad", bad}, {"problems", std::move(problems)}});
    } else {
        fmt::print("{} read back, {} are not what they should be\n", seen, bad);
    }
    return bad == 0 ? 0 : 1;
}

// The key of the original that an argument names.
Result<std::string> read_original(Workspace& workspace, const std::string& text) {
    const auto uuid = storage::parse_uuid(text);
    if (!uuid) return read_key(text);
    const auto image = workspace.catalog().find_image(*uuid);
    if (!image) return std::unexpected(image.error());
    if (*image) return (*image)->original;
    return fail(ErrorKind::not_found,
                fmt::format("the catalog knows no image {}; name the key of its original", text));
}

int restore(Workspace& workspace, const BackupArguments& arguments) {
    const auto original = read_original(workspace, arguments.image);
    if (!original) return failed(original.error(), arguments.json);
    std::optional<storage::PoolId> to;
    if (!arguments.to.empty()) {
        const auto pool = workspace.find_pool(arguments.to);
        if (!pool) return wrong_use(pool.error(), arguments.json);
        to = (*pool)->id;
    }
    const auto from =
        storage::restore_original(workspace.catalog(), workspace.drivers(), *original, to, now_s());
    if (!from) return failed(from.error(), arguments.json);
    if (arguments.json) {
        print_json({{"key", *original}, {"restored_from", workspace.pool_name(*from)}});
    } else {
        fmt::print("{}: restored from pool {}\n", *original, workspace.pool_name(*from));
    }
    return 0;
}

using BackupAction = std::function<int(Workspace&, const BackupArguments&)>;

}  // namespace

Command add_backup(CLI::App& program) {
    auto arguments = std::make_shared<BackupArguments>();
    CLI::App& parser = *program.add_subcommand("backup", "Copies of originals in backup pools");
    parser.require_subcommand(1);
    std::vector<std::pair<CLI::App*, BackupAction>> actions;
    const auto add = [&](const char* name, const char* what,
                         const BackupAction& action) -> CLI::App& {
        CLI::App& added = *parser.add_subcommand(name, what);
        add_common(added, *arguments);
        actions.emplace_back(&added, action);
        return added;
    };
    add("status", "What has a copy, and what has none; status 1 where one is missing", status);
    add("run", "Copy what is missing, at once", run);
    CLI::App& verifying =
        add("verify", "Read some copies back and prove them; status 1 where one is bad", verify);
    verifying
        .add_option("--sample", arguments->sample, "so many of each pool, drawn at random (100)")
        ->type_name("N")
        ->check(CLI::Range(1, 1'000'000));
    CLI::App& restoring =
        add("restore", "Put an original back from its backup, whatever is there now", restore);
    restoring.add_option("IMAGE", arguments->image, "UUID, or key of the original")->required();
    restoring
        .add_option("--to", arguments->to, "another pool than that which the catalog says it is in")
        ->type_name("POOL");
    return {&parser, [arguments, actions] {
                for (const auto& [action_parser, action] : actions) {
                    if (!action_parser->parsed()) continue;
                    auto workspace = Workspace::open(*arguments);
                    return workspace ? action(*workspace, *arguments) : workspace.error();
                }
                return 2;
            }};
}

}  // namespace tidepool::cli
