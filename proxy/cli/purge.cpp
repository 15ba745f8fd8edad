// tidepool purge: makes the edge forget what is named, by jobs.
#include "conf/random_name.h"
#include "proxy/cli/command.h"
#include "proxy/cli/job_wait.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"
#include "storage/purge_job.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

struct PurgeArguments : CommonOptions {
    std::vector<std::string> what;  // UUIDs, URLs, keys
    std::vector<std::string> tags;
    std::vector<std::string> prefixes;
    bool everything = false;
    bool yes = false;
    bool wait = false;
    bool detach = false;
};

Result<storage::PurgeOrder> purge_order(const PurgeArguments& arguments) {
    storage::PurgeOrder order{.tags = arguments.tags,
                              .prefixes = arguments.prefixes,
                              .is_everything = arguments.everything};
    for (const std::string& text : arguments.what) {
        if (const auto image = storage::parse_uuid(text)) {
            order.images.push_back(*image);
        } else if (text.find("://") != text.npos) {
            order.urls.push_back(text);
        } else {
            auto key = read_key(text);
            if (!key) return std::unexpected(std::move(key.error()));
            order.keys.push_back(std::move(*key));
        }
    }
    if (order.is_everything && !arguments.yes)
        return fail(ErrorKind::invalid,
                    "purge: --everything needs --yes: all that the edge has comes from here anew");
    return order;
}

int purge(const PurgeArguments& arguments) {
    const auto order = purge_order(arguments);
    if (!order) return wrong_use(order.error(), arguments.json);
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    if (workspace->settings().purge.zone_id.empty())
        return failed({ErrorKind::misconfigured, "there is no edge to purge: set purge.zone_id"},
                      arguments.json);
    const std::string batch = fmt::format("purge {}", conf::random_name());
    const auto jobs = storage::ordered_purges(workspace->catalog(), *order, batch);
    if (!jobs)
        return failed(jobs.error(), arguments.json) + (jobs.error().kind == ErrorKind::invalid);
    auto ids = workspace->catalog().queue_jobs(*jobs, now_s());
    if (!ids) return failed(ids.error(), arguments.json);
    if (!arguments.detach)
        return wait_for_batch(*workspace, batch, "purge", arguments.json, std::move(*ids));
    if (arguments.json) {
        print_json({{"jobs", *ids}, {"batch", batch}});
    } else {
        fmt::print("{} purges queued; see tidepool jobs list --type purge\n", ids->size());
    }
    return 0;
}

}  // namespace

Command add_purge(CLI::App& program) {
    auto arguments = std::make_shared<PurgeArguments>();
    CLI::App& parser = *program.add_subcommand(
        "purge", "Make the edge forget images, objects, URLs, tags, prefixes or everything");
    add_common(parser, *arguments);
    parser.add_option("WHAT", arguments->what,
                      "UUIDs of images; URLs as visitors have them; or keys, or paths of URLs, of "
                      "objects");
    parser.add_option("--tag", arguments->tags, "what has this tag; may be repeated")
        ->type_name("TAG");
    parser
        .add_option("--prefix", arguments->prefixes,
                    "what begins so, as \"images.example/uploads\"; may be repeated")
        ->type_name("PREFIX");
    parser.add_flag("--everything", arguments->everything, "all that the zone has");
    parser.add_flag("--yes", arguments->yes, "really everything");
    CLI::Option* const waiting =
        parser.add_flag("--wait", arguments->wait, "until it is done and verified; the default");
    parser.add_flag("--detach", arguments->detach, "only queue it; a running server does it")
        ->excludes(waiting);
    return {&parser, [arguments] { return purge(*arguments); }};
}

}  // namespace tidepool::cli
