// tidepool drain: empties a pool, so that it can be taken away.
#include "conf/bytes.h"
#include "conf/random_name.h"
#include "proxy/cli/command.h"
#include "proxy/cli/job_wait.h"
#include "proxy/cli/output.h"
#include "proxy/cli/progress.h"
#include "proxy/cli/workspace.h"
#include "storage/move_queue.h"
#include "storage/mover.h"
#include "storage/scan.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::MovePlan;
using storage::PoolRecord;

constexpr int kDrainPriority = 100;
constexpr int kMostDrainRounds = 20;  // something comes as long as others write there

struct DrainArguments : CommonOptions {
    std::string pool;
    std::string to;
    bool dry_run = false;
    bool detach = false;
    bool undo = false;
};

// What a drain did, in all its rounds.
struct Drained {
    MovePlan plan{};           // of the first round
    std::uint64_t moved = 0;   // images, and objects of none
    std::uint64_t failed = 0;  // jobs that did not end well
    std::uint64_t left = 0;    // objects that are still at home there
    std::uint64_t copies = 0;  // of objects that are at home elsewhere
    std::string batch{};       // of the last round
};

Result<void> set_state(Workspace& workspace, const KnownPool& pool, PoolRecord::State state) {
    const auto records = workspace.catalog().pools();
    if (!records) return std::unexpected(records.error());
    const auto found = std::ranges::find(*records, pool.id, &PoolRecord::id);
    if (found == records->end())
        return fail(ErrorKind::not_found,
                    fmt::format("pool {} is gone from the catalog", pool.settings.name));
    PoolRecord record = *found;
    if (record.state == state) return {};
    record.state = state;
    return workspace.catalog().change_pool(record);
}

// Files that nobody has asked for yet are moved too.
Result<void> take_in_files(Workspace& workspace, const KnownPool& pool) {
    if (pool.settings.storage_type == conf::PoolSettings::Type::s3) return {};
    Progress progress("scan " + pool.settings.name);
    storage::ScanOptions options;
    options.leave_out = workspace.settings().reconcile.quarantine_prefix;
    options.now_s = now_s();
    options.report = [&](const storage::ScanCounts& counts) {
        progress.update(counts.seen, std::nullopt, " objects");
        return true;
    };
    const auto scanned =
        storage::scan_pool(workspace.driver(pool), workspace.catalog(), pool.id, options);
    if (!scanned) return std::unexpected(scanned.error());
    return {};
}

Result<MovePlan> queue(Workspace& workspace, const KnownPool& from, storage::PoolId to,
                       const std::string& batch, std::vector<storage::JobId>* queued) {
    Progress progress("queue moves");
    return storage::queue_moves(
        workspace.catalog(), {.from = from.id, .to = to}, batch, kDrainPriority, now_s(),
        [&](const MovePlan& plan) { progress.update(plan.images, std::nullopt, " images"); },
        queued);
}

Result<void> count_left(Workspace& workspace, storage::PoolId pool, Drained& drained) {
    const auto accounts = workspace.catalog().accounts();
    if (!accounts) return std::unexpected(accounts.error());
    for (const storage::Account& account : *accounts) {
        if (account.pool != pool) continue;
        (account.role == storage::Role::backup ? drained.copies : drained.left) += account.count;
    }
    return {};
}

Result<Drained> empty(Workspace& workspace, const DrainArguments& arguments, const KnownPool& from,
                      storage::PoolId to) {
    Drained drained;
    for (int round = 0; round < kMostDrainRounds; ++round) {
        if (auto taken = take_in_files(workspace, from); !taken)
            return std::unexpected(std::move(taken.error()));
        drained.batch = fmt::format("drain {}", conf::random_name());
        std::vector<storage::JobId> jobs;
        const auto plan = queue(workspace, from, to, drained.batch, &jobs);
        if (!plan) return std::unexpected(plan.error());
        if (round == 0) drained.plan = *plan;
        if (plan->images == 0 || arguments.detach) break;
        const auto end = await_batch(workspace, drained.batch, "drain", std::move(jobs));
        if (!end) return std::unexpected(end.error());
        drained.moved += end->done;
        drained.failed = end->failed + end->cancelled + end->paused;
        if (drained.failed > 0) break;
    }
    if (auto counted = count_left(workspace, from.id, drained); !counted)
        return std::unexpected(std::move(counted.error()));
    return drained;
}

void print_plan(const DrainArguments& arguments, const Drained& drained) {
    fmt::print("{} images with {} objects, {}, {} to pool {}\n", drained.plan.images,
               drained.plan.objects, human_size(drained.plan.bytes),
               arguments.dry_run ? "would move" : "are queued to move", arguments.to);
    if (arguments.detach) {
        fmt::print("See tidepool jobs list --batch \"{}\"; run this again to wait for them\n",
                   drained.batch);
    }
}

void print_end(const Workspace& workspace, const DrainArguments& arguments,
               const Drained& drained) {
    fmt::print("{} images moved to pool {}\n", drained.moved, arguments.to);
    if (drained.left > 0) {
        fmt::print(
            "{} objects are left in pool {}: see tidepool jobs list --state failed, and run "
            "this again\n",
            drained.left, arguments.pool);
        return;
    }
    fmt::print(
        "Pool {} has no object any more. What was copied from there is removed {} after its "
        "move (move.grace): do not take it away before tidepool jobs list --type clean "
        "shows nothing of it\n",
        arguments.pool, conf::format_duration(workspace.settings().move.grace));
    if (drained.copies > 0) {
        fmt::print(
            "It has {} copies of objects that are elsewhere. To take it away remove the "
            "setting mirror = \"{}\", then tidepool mirror prune {}\n",
            drained.copies, arguments.pool, arguments.pool);
    }
}

int undo(Workspace& workspace, const DrainArguments& arguments, const KnownPool& pool) {
    if (auto done = set_state(workspace, pool, PoolRecord::State::active); !done)
        return failed(done.error(), arguments.json);
    if (arguments.json) {
        print_json({{"pool", arguments.pool}, {"state", "active"}});
    } else {
        fmt::print("pool {} takes new images again\n", arguments.pool);
    }
    return 0;
}

Result<void> require_target(const KnownPool& from, const KnownPool& to) {
    const std::string& name = to.settings.name;
    if (from.settings.is_backup_target) {
        return fail(ErrorKind::invalid,
                    fmt::format("pool {} is for backups, which do not move", from.settings.name));
    }
    if (from.id == to.id) return fail(ErrorKind::invalid, "--to names the pool itself");
    if (storage::takes_images(to)) return {};
    return fail(
        ErrorKind::invalid,
        fmt::format("pool {} takes no images: it is disabled, being drained, or for backups",
                    name));
}

int drain(const DrainArguments& arguments) {
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    const auto from = workspace->find_pool(arguments.pool);
    if (!from) return wrong_use(from.error(), arguments.json);
    if (arguments.undo) return undo(*workspace, arguments, **from);
    if (arguments.to.empty()) {
        return wrong_use(
            {ErrorKind::invalid, "drain: name the pool that takes its images, by --to"},
            arguments.json);
    }
    const auto to = workspace->find_pool(arguments.to);
    if (!to) return wrong_use(to.error(), arguments.json);
    if (auto target = require_target(**from, **to); !target)
        return wrong_use(target.error(), arguments.json);
    const bool is_waited_for = !arguments.dry_run && !arguments.detach;
    Result<Drained> drained;
    if (arguments.dry_run) {
        const auto plan = queue(*workspace, **from, (*to)->id, "", nullptr);
        if (!plan) return failed(plan.error(), arguments.json);
        drained->plan = *plan;
    } else {
        if (auto set = set_state(*workspace, **from, PoolRecord::State::draining); !set)
            return failed(set.error(), arguments.json);
        drained = empty(*workspace, arguments, **from, (*to)->id);
    }
    if (!drained) return failed(drained.error(), arguments.json);
    if (arguments.json && !is_waited_for) {
        print_json({{"pool", arguments.pool},
                    {"to", arguments.to},
                    {"images", drained->plan.images},
                    {"objects", drained->plan.objects},
                    {"bytes", drained->plan.bytes},
                    {"batch", drained->batch}});
    } else if (arguments.json) {
        print_json({{"pool", arguments.pool},
                    {"to", arguments.to},
                    {"moved", drained->moved},
                    {"failed", drained->failed},
                    {"left", drained->left},
                    {"copies", drained->copies}});
    } else if (is_waited_for) {
        print_end(*workspace, arguments, *drained);
    } else {
        print_plan(arguments, *drained);
    }
    return is_waited_for && drained->left + drained->failed > 0 ? 1 : 0;
}

}  // namespace

Command add_drain(CLI::App& program) {
    auto arguments = std::make_shared<DrainArguments>();
    CLI::App& parser = *program.add_subcommand(
        "drain", "Empty a pool: it takes nothing new, and all that it has moves to another one");
    add_common(parser, *arguments);
    parser.add_option("POOL", arguments->pool, "which is to be empty")->required();
    parser.add_option("--to", arguments->to, "where its images are to be")->type_name("POOL");
    parser.add_flag("--dry-run", arguments->dry_run, "say what would be moved");
    parser.add_flag("--detach", arguments->detach,
                    "only queue the moves; a running server does them");
    parser.add_flag("--undo", arguments->undo, "let the pool take new images again");
    return {&parser, [arguments] { return drain(*arguments); }};
}

}  // namespace tidepool::cli
