// tidepool key add | list | revoke: who may use the upload API.
#include "proxy/api/api_key.h"
#include "proxy/cli/command.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

struct KeyArguments : CommonOptions {
    api::KeyWish wish;
    std::string id;
};

// A field as the command calls it: "--max-size".
std::string option_of(std::string field) {
    std::ranges::replace(field, '_', '-');
    return "--" + field;
}

int add_one(Workspace& workspace, const KeyArguments& arguments) {
    auto key = api::read_key_wish(arguments.wish, now_s());
    if (!key) {
        const api::FieldProblem& problem = key.error();
        return wrong_use(
            {ErrorKind::invalid, fmt::format("{}: {}", option_of(problem.field), problem.message)},
            arguments.json);
    }
    const auto text = api::make_key(workspace.catalog(), *key);
    if (!text) return failed(text.error(), arguments.json);
    if (arguments.json) {
        Json json{{"key", *text}};
        json.update(api::key_json(*key));
        print_json(json);
    } else {
        fmt::print("{}\n", *text);
        fmt::print(stderr, "key {} of owner {}: shown this once, the catalog keeps its digest\n",
                   api::key_id(*key), key->owner);
    }
    return 0;
}

int list_all(Workspace& workspace, const KeyArguments& arguments) {
    const auto keys = api::all_keys(workspace.catalog(), arguments.wish.owner);
    if (!keys) return failed(keys.error(), arguments.json);
    if (arguments.json) {
        Json json = Json::array();
        for (const storage::KeyRecord& key : *keys)
            json.push_back(api::key_json(key));
        print_json(json);
        return 0;
    }
    for (const storage::KeyRecord& key : *keys) {
        const char* const state = key.revoked_s != 0            ? "revoked"
                                  : !api::is_good(key, now_s()) ? "expired"
                                                                : "good";
        fmt::print("{}  {:<8} owner {:<12} {}\n", api::key_id(key), state, key.owner, key.name);
    }
    return 0;
}

int revoke_one(Workspace& workspace, const KeyArguments& arguments) {
    const auto revoked = api::revoke_key(workspace.catalog(), arguments.id, now_s());
    if (!revoked) return failed(revoked.error(), arguments.json);
    if (arguments.json) {
        print_json(api::key_json(*revoked));
    } else {
        fmt::print("key {} of owner {}: revoked\n", api::key_id(*revoked), revoked->owner);
    }
    return 0;
}

using KeyAction = std::function<int(Workspace&, const KeyArguments&)>;

}  // namespace

Command add_key(CLI::App& program) {
    auto arguments = std::make_shared<KeyArguments>();
    CLI::App& parser = *program.add_subcommand("key", "Keys of the upload API");
    parser.require_subcommand(1);
    std::vector<std::pair<CLI::App*, KeyAction>> actions;
    const auto add = [&](const char* name, const char* what, const KeyAction& action) -> CLI::App& {
        CLI::App& added = *parser.add_subcommand(name, what);
        add_common(added, *arguments);
        actions.emplace_back(&added, action);
        return added;
    };
    CLI::App& adding = add("add", "Make a key; it is shown once", add_one);
    adding.add_option("--owner", arguments->wish.owner, "whose: the user's number or name")
        ->type_name("N")
        ->required();
    adding.add_option("--name", arguments->wish.name, "what it is for")->type_name("TEXT");
    adding.add_option("--quota", arguments->wish.quota, "of all that the owner has")
        ->type_name("SIZE");
    adding.add_option("--max-size", arguments->wish.max_size, "of one file")->type_name("SIZE");
    adding
        .add_option("--rate", arguments->wish.per_minute,
                    "sessions a minute, instead of upload.rate_per_key")
        ->type_name("N")
        ->check(CLI::Range(std::int64_t{0}, api::kMostKeyRate));
    adding.add_option("--expires", arguments->wish.expires, "it is good for so long")
        ->type_name("DURATION");
    CLI::App& listing = add("list", "All keys, without what they are", list_all);
    listing.add_option("--owner", arguments->wish.owner, "of this one alone")->type_name("N");
    add("revoke", "From now on the key is refused", revoke_one)
        .add_option("ID", arguments->id, "as list shows it")
        ->required();
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
