// tidepool mv: images to another pool, by jobs.
#include "conf/bytes.h"
#include "conf/random_name.h"
#include "proxy/cli/command.h"
#include "proxy/cli/job_wait.h"
#include "proxy/cli/output.h"
#include "proxy/cli/progress.h"
#include "proxy/cli/workspace.h"
#include "storage/move_queue.h"
#include "storage/mover.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::MovePlan;
using storage::MoveTarget;

constexpr int kMovePriority = 100;

struct MvArguments : CommonOptions {
    std::vector<std::string> what;  // UUIDs, keys, paths of URLs
    std::string pool;
    std::string to;
    std::string older_than;
    std::string idle;
    std::uint64_t limit = 0;
    bool dry_run = false;
    bool detach = false;
};

Result<std::optional<std::int64_t>> read_time_back(const char* option, const std::string& text) {
    if (text.empty()) return std::optional<std::int64_t>();
    const auto duration = conf::parse_duration(text);
    if (!duration)
        return fail(ErrorKind::invalid,
                    fmt::format("{}: expected a time like \"30d\", not \"{}\"", option, text));
    return now_s() - std::chrono::duration_cast<std::chrono::seconds>(*duration).count();
}

// What an argument names, and the pool it is in.
Result<std::pair<MoveTarget, storage::PoolId>> read_target(Workspace& workspace,
                                                           const std::string& text,
                                                           storage::PoolId to) {
    auto uuid = storage::parse_uuid(text);
    std::string key;
    if (!uuid) {
        auto read = read_key(text);
        if (!read) return std::unexpected(std::move(read.error()));
        key = std::move(*read);
        const auto row = workspace.catalog().find(key);
        if (!row) return std::unexpected(row.error());
        if (!*row)
            return fail(ErrorKind::not_found, fmt::format("the catalog knows no object {}; scan "
                                                          "the pool that has it first",
                                                          key));
        uuid = (*row)->image;
        if (!uuid) return std::pair{MoveTarget{.image = {}, .key = key, .to = to}, (*row)->pool};
    }
    const auto image = workspace.catalog().find_image(*uuid);
    if (!image) return std::unexpected(image.error());
    if (*image) return std::pair{MoveTarget{.image = uuid, .key = {}, .to = to}, (*image)->pool};
    return fail(ErrorKind::not_found, fmt::format("the catalog knows no image {}; scan the pool "
                                                  "that has it first",
                                                  storage::to_text(*uuid)));
}

// One of them may be on its way to somewhere else already.
Result<void> require_same_target(Workspace& workspace, storage::JobId id,
                                 const MoveTarget& target) {
    const auto job = workspace.catalog().find_job(id);
    if (!job) return std::unexpected(job.error());
    if (!*job) return {};
    const auto known = storage::target_of(**job);
    if (!known || known->to == target.to) return {};
    return fail(ErrorKind::conflict,
                fmt::format("{} is being moved to pool {} already, by job {}; cancel that first",
                            target.image ? storage::to_text(*target.image) : target.key,
                            workspace.pool_name(known->to), id));
}

Result<MovePlan> queue_named(Workspace& workspace, const MvArguments& arguments, storage::PoolId to,
                             const std::string& batch, std::vector<storage::JobId>& queued) {
    MovePlan plan;
    std::vector<storage::NewJob> jobs;
    std::vector<MoveTarget> targets;
    for (const std::string& text : arguments.what) {
        const auto target = read_target(workspace, text, to);
        if (!target) return std::unexpected(target.error());
        ++plan.images;
        jobs.push_back(storage::move_job(target->first, target->second, kMovePriority, batch));
        targets.push_back(target->first);
    }
    if (arguments.dry_run) return plan;
    const auto ids = workspace.catalog().queue_jobs(jobs, now_s());
    if (!ids) return std::unexpected(ids.error());
    queued = *ids;
    for (std::size_t i = 0; i < targets.size(); ++i) {
        if (auto same = require_same_target(workspace, (*ids)[i], targets[i]); !same)
            return std::unexpected(std::move(same.error()));
    }
    return plan;
}

Result<MovePlan> queue_pool(Workspace& workspace, const MvArguments& arguments, storage::PoolId to,
                            const std::string& batch, std::vector<storage::JobId>& queued) {
    const auto from = workspace.find_pool(arguments.pool);
    if (!from) return std::unexpected(from.error());
    const auto older = read_time_back("--older-than", arguments.older_than);
    if (!older) return std::unexpected(older.error());
    const auto idle = read_time_back("--idle", arguments.idle);
    if (!idle) return std::unexpected(idle.error());
    const storage::MoveSelection selection{.from = (*from)->id,
                                           .to = to,
                                           .uploaded_before_s = *older,
                                           .viewed_before_s = *idle,
                                           .limit = arguments.limit};
    if (selection.from == to) return fail(ErrorKind::invalid, "--pool and --to name the same pool");
    Progress progress("queue moves");
    return storage::queue_moves(
        workspace.catalog(), selection, arguments.dry_run ? "" : batch, kMovePriority, now_s(),
        [&](const MovePlan& plan) { progress.update(plan.images, std::nullopt, " images"); },
        &queued);
}

int mv(const MvArguments& arguments) {
    if (arguments.what.empty() == arguments.pool.empty()) {
        return wrong_use({ErrorKind::invalid, "mv: name images, or a pool by --pool, not both"},
                         arguments.json);
    }
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    const auto to = workspace->find_pool(arguments.to);
    if (!to) return wrong_use(to.error(), arguments.json);
    const std::string batch = fmt::format("mv {}", conf::random_name());
    std::vector<storage::JobId> queued;
    const auto plan = arguments.pool.empty()
                          ? queue_named(*workspace, arguments, (*to)->id, batch, queued)
                          : queue_pool(*workspace, arguments, (*to)->id, batch, queued);
    if (!plan)
        return failed(plan.error(), arguments.json) + (plan.error().kind == ErrorKind::invalid);
    if (arguments.dry_run) {
        if (arguments.json) {
            print_json({{"images", plan->images},
                        {"objects", plan->objects},
                        {"bytes", plan->bytes},
                        {"moved", false}});
        } else {
            fmt::print("{} images with {} objects, {}, would move to pool {}\n", plan->images,
                       plan->objects, human_size(plan->bytes), arguments.to);
        }
        return 0;
    }
    if (arguments.detach) {
        if (arguments.json) {
            print_json({{"images", plan->images}, {"batch", batch}});
        } else {
            fmt::print("{} moves queued as \"{}\"; see tidepool jobs list --batch \"{}\"\n",
                       plan->images, batch, batch);
        }
        return 0;
    }
    return wait_for_batch(*workspace, batch, "move", arguments.json, queued);
}

}  // namespace

Command add_mv(CLI::App& program) {
    auto arguments = std::make_shared<MvArguments>();
    CLI::App& parser = *program.add_subcommand(
        "mv", "Move images, with all their variants, to another pool; begun again it goes on");
    add_common(parser, *arguments);
    parser.add_option("IMAGE", arguments->what, "UUIDs of images, or keys, or paths of URLs");
    parser.add_option("--to", arguments->to, "where they are to be")->type_name("POOL")->required();
    parser.add_option("--pool", arguments->pool, "all that this pool has, instead of some images")
        ->type_name("POOL");
    parser
        .add_option("--older-than", arguments->older_than,
                    "only images uploaded before that: \"30d\"")
        ->type_name("TIME");
    parser
        .add_option("--idle", arguments->idle, "only images that nobody has looked at for so long")
        ->type_name("TIME");
    parser.add_option("--limit", arguments->limit, "at most so many")->type_name("N");
    parser.add_flag("--dry-run", arguments->dry_run, "say what would be moved");
    parser.add_flag("--detach", arguments->detach, "only queue them; a running server does it");
    return {&parser, [arguments] { return mv(*arguments); }};
}

}  // namespace tidepool::cli
