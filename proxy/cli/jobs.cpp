// tidepool jobs: what is done in the background, and what an operator has to say about it.
#include "proxy/api/job_json.h"
#include "proxy/cli/command.h"
#include "proxy/cli/job_wait.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"
#include "storage/job_control.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::JobAction;
using storage::JobRecord;

struct JobsArguments : CommonOptions {
    std::vector<storage::JobId> ids;
    std::string state;
    std::string type;
    std::string batch;
    std::uint64_t limit = 100;
};

Result<storage::JobFilter> read_filter(const JobsArguments& arguments) {
    storage::JobFilter filter{.type = arguments.type, .batch = arguments.batch};
    if (!arguments.state.empty()) {
        filter.state = storage::parse_job_state(arguments.state);
        if (!filter.state)
            return fail(ErrorKind::invalid,
                        fmt::format("--state: there is no \"{}\"; there are queued, running, done, "
                                    "failed, cancelled and paused",
                                    arguments.state));
    }
    return filter;
}

// Those that are named, or those that the filter finds.
Result<void> for_each(Workspace& workspace, const JobsArguments& arguments, std::uint64_t limit,
                      const std::function<Result<void>(const JobRecord&)>& take) {
    for (const storage::JobId id : arguments.ids) {
        const auto job = workspace.catalog().find_job(id);
        if (!job) return std::unexpected(job.error());
        if (!*job) return fail(ErrorKind::not_found, fmt::format("there is no job {}", id));
        if (auto taken = take(**job); !taken) return taken;
    }
    if (!arguments.ids.empty()) return {};
    auto filter = read_filter(arguments);
    if (!filter) return std::unexpected(std::move(filter.error()));
    std::uint64_t count = 0;
    while (true) {
        const auto page = workspace.catalog().list_jobs(*filter, storage::Catalog::kPage);
        if (!page) return std::unexpected(page.error());
        for (const JobRecord& job : *page) {
            if (limit > 0 && count++ >= limit) return {};
            if (auto taken = take(job); !taken) return taken;
        }
        if (page->size() < storage::Catalog::kPage) return {};
        filter->after = page->back().id;
    }
}

int list(Workspace& workspace, const JobsArguments& arguments) {
    Json all = Json::array();
    const auto listed =
        for_each(workspace, arguments, arguments.limit, [&](const JobRecord& job) -> Result<void> {
            if (arguments.json) {
                all.push_back(api::job_json(job));
                return {};
            }
            fmt::print("{:>8}  {:<10} {:<9} {:>3}  {}  {}{}{}\n", job.id, job.lane,
                       storage::name_of(job.state), job.attempts, human_time(job.created_s),
                       job.payload, job.error_class.empty() ? "" : "  " + job.error_class + ": ",
                       job.error_text);
            return {};
        });
    if (!listed)
        return failed(listed.error(), arguments.json) + (listed.error().kind == ErrorKind::invalid);
    if (arguments.json) print_json(all);
    return 0;
}

int show(Workspace& workspace, const JobsArguments& arguments) {
    const auto shown = for_each(workspace, arguments, 0, [&](const JobRecord& job) -> Result<void> {
        const Json json = api::job_json(job);
        if (arguments.json) {
            print_json(json);
            return {};
        }
        for (const auto& [name, value] : json.items())
            fmt::print("{:<12} {}\n", name,
                       value.is_string() ? value.get<std::string>() : json_text(value));
        fmt::print("\n");
        return {};
    });
    return shown ? 0 : failed(shown.error(), arguments.json);
}

int act(JobAction action, Workspace& workspace, const JobsArguments& arguments) {
    std::uint64_t changed = 0;
    std::uint64_t kept = 0;
    const auto done = for_each(workspace, arguments, 0, [&](const JobRecord& job) -> Result<void> {
        const auto acted = storage::act_on_job(workspace.catalog(), job, action, now_s());
        if (!acted) return std::unexpected(acted.error());
        ++(*acted ? changed : kept);
        return {};
    });
    if (!done)
        return failed(done.error(), arguments.json) + (done.error().kind == ErrorKind::invalid);
    if (arguments.json) {
        print_json({{"changed", changed}, {"unchanged", kept}});
    } else {
        fmt::print("{} changed, {} were in no state for that\n", changed, kept);
    }
    return changed == 0 && kept > 0 ? 1 : 0;
}

using JobsAction = std::function<int(Workspace&, const JobsArguments&)>;

int run_action(const JobsAction& action, const JobsArguments& arguments) {
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    return action(*workspace, arguments);
}

void add_filter(CLI::App& parser, JobsArguments& arguments) {
    parser.add_option("--state", arguments.state, "only those")->type_name("STATE");
    parser.add_option("--type", arguments.type, "only those: move, clean, delete ...")
        ->type_name("TYPE");
    parser.add_option("--batch", arguments.batch, "only those that one command or sweep queued")
        ->type_name("NAME");
}

}  // namespace

Command add_jobs(CLI::App& program) {
    auto arguments = std::make_shared<JobsArguments>();
    CLI::App& parser =
        *program.add_subcommand("jobs", "List background jobs, or say what becomes of them");
    parser.require_subcommand(1);
    std::vector<std::pair<CLI::App*, JobsAction>> actions;
    CLI::App& listing = *parser.add_subcommand("list", "The jobs there are, the oldest first");
    add_common(listing, *arguments);
    add_filter(listing, *arguments);
    listing.add_option("--limit", arguments->limit, "at most so many; 0 = all")->type_name("N");
    actions.emplace_back(&listing, list);

    CLI::App& showing = *parser.add_subcommand("show", "All that is known of some");
    add_common(showing, *arguments);
    showing.add_option("ID", arguments->ids, "of jobs")->required();
    actions.emplace_back(&showing, show);

    const auto add_act = [&](const char* name, const char* what, JobAction action) {
        CLI::App& acting = *parser.add_subcommand(name, what);
        add_common(acting, *arguments);
        acting.add_option("ID", arguments->ids, "of jobs; none = all that the options select");
        add_filter(acting, *arguments);
        actions.emplace_back(&acting, [action](Workspace& workspace, const JobsArguments& with) {
            const bool has_any = !with.ids.empty() || !with.state.empty() || !with.type.empty() ||
                                 !with.batch.empty();
            if (has_any) return act(action, workspace, with);
            return wrong_use({ErrorKind::invalid,
                              "name jobs, or select some by --state, --type or "
                              "--batch"},
                             with.json);
        });
    };
    add_act("retry",
            "Try again at once what failed or was cancelled, or waits for its next attempt",
            JobAction::retry);
    add_act("cancel", "End what is queued or runs; nothing is left half done", JobAction::cancel);
    add_act("pause", "Hold back what is queued or runs, until it is resumed", JobAction::pause);
    add_act("resume", "Go on with what was paused", JobAction::resume);

    CLI::App& running = *parser.add_subcommand(
        "run", "Do what is due, and end when nothing is; for machines without a running server");
    add_common(running, *arguments);
    actions.emplace_back(&running, [](Workspace& workspace, const JobsArguments& with) {
        return run_due_jobs(workspace, with.json);
    });
    return {&parser, [arguments, actions] {
                for (const auto& [action_parser, action] : actions) {
                    if (action_parser->parsed()) return run_action(action, *arguments);
                }
                return 2;
            }};
}

}  // namespace tidepool::cli
