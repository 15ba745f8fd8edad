// tidepool tier: what the next sweep of the tiering policy would do, and one at once.
#include "proxy/api/setting_overrides.h"
#include "proxy/api/tiering_api.h"
#include "proxy/cli/command.h"
#include "proxy/cli/job_wait.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"
#include "storage/job_owner.h"
#include "storage/tier_sweep.h"

#include <cmath>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::TierMove;
using storage::TierPlan;

struct TierArguments : CommonOptions {
    std::uint64_t limit = 0;
    bool detach = false;
};

// With what was changed at run time, since this is about what a server does.
Result<conf::TieringSettings> tiering_in_force(Workspace& workspace) {
    const auto changed = workspace.catalog().settings();
    if (!changed) return std::unexpected(changed.error());
    return api::override_settings(workspace.settings(), api::overrides_of(*changed))
        .settings.tiering;
}

storage::TierContext context_of(Workspace& workspace, const conf::TieringSettings& settings) {
    return {workspace.catalog(), workspace.pools(), settings, &workspace.drivers()};
}

void print_plan(const storage::SweepPlan& sweep, const Workspace& workspace, std::uint64_t limit) {
    const TierPlan& plan = sweep.plan;
    std::uint64_t shown = 0;
    for (const TierMove& move : plan.moves) {
        if (limit > 0 && shown++ == limit) {
            fmt::print("... and {} more\n", plan.moves.size() - limit);
            break;
        }
        fmt::print("{}  {:<9}  {} > {}  {:>10}  {}\n", storage::to_text(move.what.image.image),
                   storage::name_of(move.reason), workspace.pool_name(move.from),
                   workspace.pool_name(move.to), human_size(move.what.size.bytes), move.why);
    }
    shown = 0;
    for (const storage::LeftOutImage& each : sweep.left_out) {
        if (limit > 0 && shown++ == limit) {
            fmt::print("... and {} more are left out\n", sweep.left_out.size() - limit);
            break;
        }
        fmt::print("{}  left out   {}  job {} failed {}: {}: {}\n", storage::to_text(each.image),
                   workspace.pool_name(each.pool), each.failed.id,
                   human_time(each.failed.finished_s), each.failed.error_class,
                   each.failed.error_text);
    }
    fmt::print("{} images, {}; {} moves of earlier sweeps are open\n", plan.moves.size(),
               human_size(plan.bytes), sweep.open);
    fmt::print("calls: {} of class A, {} of class B, {} of class C; {} read from buckets\n",
               plan.calls.class_a, plan.calls.class_b, plan.calls.class_c,
               human_size(plan.calls.egress_bytes));
    fmt::print(
        "B2 would charge ${:.4f} for calls, up to ${:.4f} for what is read, and ${:.4f} "
        "{} a month for storage\n",
        plan.bill.calls_dollars, plan.bill.egress_dollars,
        std::abs(plan.bill.storage_dollars_a_month),
        plan.bill.storage_dollars_a_month < 0 ? "less" : "more");
    for (const std::string& note : plan.notes)
        fmt::print("note: {}\n", note);
    if (!sweep.stopped.empty()) fmt::print("stopped: {}\n", sweep.stopped);
}

int failed_with(const Error& error, bool json) {
    return failed(error, json) + (error.kind == ErrorKind::invalid);
}

int plan(Workspace& workspace, const TierArguments& arguments) {
    const auto settings = tiering_in_force(workspace);
    if (!settings) return failed(settings.error(), arguments.json);
    const auto sweep = api::plan_with_notes(context_of(workspace, *settings), now_s());
    if (!sweep) return failed_with(sweep.error(), arguments.json);
    if (arguments.json) {
        const auto name = [&](storage::PoolId pool) { return workspace.pool_name(pool); };
        print_json(api::plan_json(*sweep, name, arguments.limit));
    } else {
        print_plan(*sweep, workspace, arguments.limit);
    }
    return 0;
}

int run(Workspace& workspace, const TierArguments& arguments) {
    const auto settings = tiering_in_force(workspace);
    if (!settings) return failed(settings.error(), arguments.json);
    const auto sweep =
        storage::run_sweep(context_of(workspace, *settings), storage::new_job_owner(), now_s());
    if (!sweep) return failed_with(sweep.error(), arguments.json);
    if (!sweep->plan.stopped.empty())
        return failed({ErrorKind::conflict, sweep->plan.stopped}, arguments.json);
    if (sweep->queued > 0 && !arguments.detach)
        return wait_for_batch(workspace, sweep->batch, "tier", arguments.json);
    if (arguments.json) {
        print_json(api::sweep_json(*sweep));
    } else if (sweep->queued == 0) {
        fmt::print("nothing is to be moved\n");
        for (const std::string& note : sweep->plan.plan.notes)
            fmt::print("note: {}\n", note);
    } else {
        fmt::print("{} moves queued as \"{}\"; see tidepool jobs list --batch \"{}\"\n",
                   sweep->queued, sweep->batch, sweep->batch);
    }
    return 0;
}

}  // namespace

Command add_tier(CLI::App& program) {
    auto arguments = std::make_shared<TierArguments>();
    CLI::App& parser = *program.add_subcommand(
        "tier", "What tiering would move to another tier, or a sweep of it at once");
    parser.require_subcommand(1);

    CLI::App& planning = *parser.add_subcommand(
        "plan", "Say what the next sweep would move, why, and what it costs; changes nothing");
    add_common(planning, *arguments);
    planning
        .add_option("--limit", arguments->limit,
                    "show at most so many moves, and images that are left out; 0 = all")
        ->type_name("N");

    CLI::App& running = *parser.add_subcommand(
        "run", "Make a sweep, also where tiering is not enabled, and wait for its moves");
    add_common(running, *arguments);
    running.add_flag("--detach", arguments->detach, "only queue them; a running server does it");

    return {&parser, [arguments, &planning] {
                auto workspace = Workspace::open(*arguments);
                if (!workspace) return workspace.error();
                return planning.parsed() ? plan(*workspace, *arguments)
                                         : run(*workspace, *arguments);
            }};
}

}  // namespace tidepool::cli
