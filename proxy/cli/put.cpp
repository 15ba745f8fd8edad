// tidepool put: a file into a pool.
#include "proxy/cli/command.h"
#include "proxy/cli/file_transfer.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"
#include "proxy/serve/cache_policy.h"
#include "transform/content_type.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::ObjectRecord;

struct PutArguments : CommonOptions {
    std::string file;
    std::string key;
    std::string pool;
};

Result<void> check_target(Workspace& workspace, const KnownPool& pool, std::uint64_t size) {
    const std::string& name = pool.settings.name;
    if (!pool.settings.is_active) {
        return fail(ErrorKind::misconfigured,
                    fmt::format("pool {} is not active and takes nothing", name));
    }
    if (pool.state == storage::PoolRecord::State::draining) {
        return fail(ErrorKind::misconfigured,
                    fmt::format("pool {} is being drained and takes nothing new", name));
    }
    if (pool.settings.is_backup_target) {
        return fail(ErrorKind::misconfigured,
                    fmt::format("pool {} is for backups, which are made by the server", name));
    }
    if (pool.settings.max_size_bytes == 0) return {};
    const auto used = storage::bytes_held(workspace.catalog(), pool.id);
    if (!used) return std::unexpected(used.error());
    if (*used + size <= pool.settings.max_size_bytes) return {};
    return fail(
        ErrorKind::capped,
        fmt::format("pool {} is full: {} of {} are used, and this is {}", name, human_size(*used),
                    human_size(pool.settings.max_size_bytes), human_size(size)));
}

// One home: what another pool has is moved or removed first.
Result<void> check_home(Workspace& workspace, const KnownPool& pool,
                        const std::optional<ObjectRecord>& row) {
    if (!row || row->pool == pool.id) return {};
    return fail(ErrorKind::conflict,
                fmt::format("{} is in pool {} already; remove it there first, or put it there",
                            row->key, workspace.pool_name(row->pool)));
}

// What becomes of stored bytes whose row could not be written. Where that was refused, as of an
// image that was deleted, they go unless there is a row: nobody is let write one until the deletion
// is forgotten, long after. After any other failure there may be one, ours or that of somebody who
// stored the same and was told that it is done, and they stay.
std::string fate_of_unnoted(Workspace& workspace, const KnownPool& pool, const std::string& key,
                            ErrorKind why) {
    if (why == ErrorKind::conflict) {
        const auto row = workspace.catalog().find(key);
        if (row && (!*row || (*row)->pool != pool.id)) {
            const auto removed = workspace.driver(pool).remove(key);
            if (removed) return {};
            return fmt::format("; and the stored object could not be removed: {}",
                               removed.error().text);
        }
    }
    return fmt::format("; the new content is in pool {} and `tidepool scan {}` will find it",
                       pool.settings.name, pool.settings.name);
}

// Stores the bytes durably, then the row (invariant 1).
Result<ObjectRecord> store(Workspace& workspace, const KnownPool& pool, const std::string& key,
                           FileSource& source) {
    const auto known = workspace.catalog().find(key);
    if (!known) return std::unexpected(known.error());
    if (auto home = check_home(workspace, pool, *known); !home) {
        return std::unexpected(home.error());
    }
    if (auto target = check_target(workspace, pool, source.size()); !target) {
        return std::unexpected(target.error());
    }
    storage::Driver& driver = workspace.driver(pool);
    const auto look = source.look();
    if (!look) return std::unexpected(look.error());

    storage::PutOptions options;
    options.size = source.size();
    options.content_type = transform::served_type(*look, key);
    // For visitors who are sent to the bucket's own name: what they would be told here.
    options.cache_control = serve::CachePolicy(workspace.settings().cache_control)
                                .cache_control(key, 200, options.content_type);
    const auto info = driver.put(key, source, options);
    if (!info) return std::unexpected(info.error());

    ObjectRecord object =
        storage::object_record(key, pool.id, *info, options.content_type, now_s());
    const auto put = workspace.catalog().put_object(object);
    if (put) {
        if (*known) storage::remove_replaced(driver, *info);
        return object;
    }
    const Error& error = put.error();
    return fail(error.kind, error.text + fate_of_unnoted(workspace, pool, key, error.kind));
}

int put(const PutArguments& arguments) {
    const auto key = read_key(arguments.key);
    if (!key) return wrong_use(key.error(), arguments.json);
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    const auto pool = workspace->find_pool(arguments.pool);
    if (!pool) return wrong_use(pool.error(), arguments.json);
    auto source = FileSource::open(arguments.file);
    if (!source) return failed(source.error(), arguments.json);
    const auto object = store(*workspace, **pool, *key, *source);
    if (!object) return failed(object.error(), arguments.json);
    if (arguments.json) {
        print_json(object_json(*object, arguments.pool));
    } else {
        fmt::print("{}: {} bytes in pool {}, {}\n", object->key, object->size, arguments.pool,
                   object->content_type);
    }
    return 0;
}

}  // namespace

Command add_put(CLI::App& program) {
    auto arguments = std::make_shared<PutArguments>();
    CLI::App& parser = *program.add_subcommand("put", "Store a file in a pool under a key");
    add_common(parser, *arguments);
    parser.add_option("FILE", arguments->file, "what to store")->required();
    parser.add_option("KEY", arguments->key, "key, or path of its URL")->required();
    parser.add_option("--pool", arguments->pool, "where to")->type_name("POOL")->required();
    return {&parser, [arguments] { return put(*arguments); }};
}

}  // namespace tidepool::cli
