// tidepool rm: an object, its bytes and its row.
#include "proxy/cli/command.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

struct RmArguments : CommonOptions {
    std::string key;
};

// The pool it was removed from; "" where none had it.
Result<std::string> remove(Workspace& workspace, const std::string& key) {
    const auto row = workspace.catalog().find(key);
    if (!row) return std::unexpected(row.error());
    if (*row) {
        if (auto removed = workspace.remove(**row); !removed)
            return std::unexpected(removed.error());
        return workspace.pool_name((*row)->pool);
    }
    const auto pool = workspace.find_on_disks(key);
    if (!pool) return std::unexpected(pool.error());
    if (*pool == nullptr) return std::string();
    if (auto removed = workspace.driver(**pool).remove(key); !removed)
        return std::unexpected(removed.error());
    return (*pool)->settings.name;
}

int rm(const RmArguments& arguments) {
    const auto key = read_key(arguments.key);
    if (!key) return failed(key.error(), arguments.json) + 1;  // wrong usage
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    const auto pool = remove(*workspace, *key);
    if (!pool) return failed(pool.error(), arguments.json);
    if (arguments.json) {
        print_json({{"key", *key},
                    {"removed", !pool->empty()},
                    {"pool", pool->empty() ? Json(nullptr) : Json(*pool)}});
    } else if (pool->empty()) {
        fmt::print("{}: nothing to remove\n", *key);
    } else {
        fmt::print("{}: removed from pool {}\n", *key, *pool);
    }
    return 0;
}

}  // namespace

Command add_rm(CLI::App& program) {
    auto arguments = std::make_shared<RmArguments>();
    CLI::App& parser =
        *program.add_subcommand("rm", "Remove one object for good; doing it again is no error");
    add_common(parser, *arguments);
    parser.add_option("KEY", arguments->key, "key, or path of its URL")->required();
    return {&parser, [arguments] { return rm(*arguments); }};
}

}  // namespace tidepool::cli
