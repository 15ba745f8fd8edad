// tidepool ls: what the catalog has below a prefix.
#include "proxy/cli/command.h"
#include "proxy/cli/object_printer.h"
#include "proxy/cli/workspace.h"

#include <algorithm>
#include <cstdint>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

struct LsArguments : CommonOptions {
    std::string prefix;
    std::string pool;
    std::uint64_t limit = 0;  // 0 = all
};

int ls(const LsArguments& arguments) {
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    std::optional<storage::PoolId> pool;
    if (!arguments.pool.empty()) {
        const auto found = workspace->find_pool(arguments.pool);
        if (!found) return wrong_use(found.error(), arguments.json);
        pool = (*found)->id;
    }
    std::string prefix = arguments.prefix;
    if (prefix.starts_with('/')) prefix.erase(0, 1);
    ObjectPrinter printer(arguments.json);
    std::string after;
    while (arguments.limit == 0 || printer.count() < arguments.limit) {
        const std::uint64_t wanted =
            arguments.limit == 0
                ? storage::Catalog::kPage
                : std::min(storage::Catalog::kPage, arguments.limit - printer.count());
        const auto page = workspace->catalog().list(pool, prefix, after, wanted);
        if (!page) return failed(page.error());
        for (const storage::ObjectRecord& object : *page)
            printer.print(object, workspace->pool_name(object.pool));
        if (page->size() < wanted) break;
        after = page->back().key;
    }
    printer.end();
    return 0;
}

}  // namespace

Command add_ls(CLI::App& program) {
    auto arguments = std::make_shared<LsArguments>();
    CLI::App& parser =
        *program.add_subcommand("ls", "List the catalog's objects: size, time (UTC), pool, key");
    add_common(parser, *arguments);
    parser.add_option("PREFIX", arguments->prefix, "only keys that start with this");
    parser.add_option("--pool", arguments->pool, "only of this pool")->type_name("POOL");
    parser.add_option("--limit", arguments->limit, "at most so many")->type_name("N");
    return {&parser, [arguments] { return ls(*arguments); }};
}

}  // namespace tidepool::cli
