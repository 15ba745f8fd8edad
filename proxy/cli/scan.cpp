// tidepool scan: what the pools hold, into the catalog.
#include "storage/scan.h"

#include "proxy/cli/command.h"
#include "proxy/cli/file_transfer.h"
#include "proxy/cli/output.h"
#include "proxy/cli/progress.h"
#include "proxy/cli/workspace.h"
#include "transform/content_type.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::Described;
using storage::ObjectRecord;
using storage::ScanCounts;
using storage::ScanResult;

struct ScanArguments : CommonOptions {
    std::string pool;  // "" = all that are active
    bool hash = false;
    bool dry_run = false;
};

// What can be told without reading: whether the name is that of a type we know.
Described look_at_name(const ObjectRecord& object) {
    return transform::content_type_by_name(object.key).empty() ? Described::unknown_type
                                                               : Described::known;
}

// Reads the content, unless the catalog's row of the same version has its hash.
Described look_at_content(storage::Driver& driver, ObjectRecord& object, const ObjectRecord* row) {
    const bool known = row != nullptr && row->sha256 && row->size == object.size &&
                       row->store_etag == object.store_etag &&
                       (!object.store_etag.empty() || row->modified_s == object.modified_s);
    if (known) return look_at_name(object);
    LookSink sink;
    const auto info = driver.get(object.key, {}, sink);
    if (!info || sink.size() != info->size) return Described::failed;
    object.size = info->size;
    object.modified_s = info->modified_s;
    if (!info->etag.empty()) object.store_etag = info->etag;
    object.sha256 = sink.digest();
    object.content_type = transform::served_type(sink.look(), object.key);
    return object.content_type == transform::kUnknownType ? Described::unknown_type
                                                          : Described::known;
}

Json counts_json(const std::string& pool, const ScanResult& result) {
    const ScanCounts& counts = result.counts;
    return {{"pool", pool},
            {"seen", counts.seen},
            {"bytes", counts.bytes},
            {"added", counts.added},
            {"changed", counts.changed},
            {"unchanged", counts.unchanged},
            {"foreign", counts.foreign},
            {"deleted", counts.deleted},
            {"unknown_type", counts.unknown_type},
            {"unservable", counts.unservable},
            {"failed", counts.failed},
            {"vanished", counts.vanished},
            {"resumed", result.resumed}};
}

void print_counts(const std::string& pool, const ScanResult& result, bool dry_run) {
    const ScanCounts& counts = result.counts;
    fmt::print("pool {}: {} objects, {}{}{}\n", pool, counts.seen, human_size(counts.bytes),
               result.resumed ? ", gone on with an interrupted scan" : "",
               dry_run ? "; nothing was changed" : "");
    const auto line = [](std::uint64_t count, const char* what, const char* meaning) {
        if (count > 0) fmt::print("  {:>12} {:<12} {}\n", count, what, meaning);
    };
    line(counts.added, "new", "");
    line(counts.changed, "changed", "the catalog said otherwise");
    line(counts.unchanged, "unchanged", "");
    line(counts.foreign, "foreign", "the catalog has the key in another pool, which keeps it");
    line(counts.deleted, "deleted", "what is left of images that were deleted: not adopted");
    line(counts.unknown_type, "unknown type", "in the catalog, but not served");
    line(counts.unservable, "unservable", "hidden, temporary or no path of a URL; left out");
    line(counts.failed, "unreadable", "in the catalog, but its content could not be read");
    line(counts.vanished, "vanished", "in the catalog, but not in the pool");
}

Result<ScanResult> scan_one(Workspace& workspace, const KnownPool& pool,
                            const ScanArguments& arguments) {
    storage::Driver& driver = workspace.driver(pool);
    const auto accounts = workspace.catalog().accounts();
    if (!accounts) return std::unexpected(accounts.error());
    std::uint64_t known = 0;  // before: the best guess of how many there are
    for (const storage::Account& account : *accounts) {
        if (account.pool == pool.id && account.role != storage::Role::backup) {
            known += account.count;
        }
    }
    Progress progress("scan " + pool.settings.name);
    storage::ScanOptions options;
    options.dry_run = arguments.dry_run;
    options.leave_out = workspace.settings().reconcile.quarantine_prefix;
    options.now_s = now_s();
    options.describe = [&](ObjectRecord& object, const ObjectRecord* row) {
        return arguments.hash ? look_at_content(driver, object, row) : look_at_name(object);
    };
    options.report = [&](const ScanCounts& counts) {
        workspace.drivers().exchange_budgets();
        progress.update(counts.seen, known > counts.seen ? std::optional(known) : std::nullopt,
                        " objects");
        return true;
    };
    return storage::scan_pool(driver, workspace.catalog(), pool.id, options);
}

int scan(const ScanArguments& arguments) {
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    const KnownPool* only = nullptr;
    if (!arguments.pool.empty()) {
        const auto found = workspace->find_pool(arguments.pool);
        if (!found) return wrong_use(found.error(), arguments.json);
        only = *found;
    }
    int status = 0;
    Json all = Json::array();
    for (const KnownPool& pool : workspace->pools()) {
        // Backup pools hold copies, whose keys are not those of objects.
        const bool wanted = only != nullptr
                                ? &pool == only
                                : pool.settings.is_active && !pool.settings.is_backup_target;
        if (!wanted) continue;
        const auto result = scan_one(*workspace, pool, arguments);
        if (!result) {
            status = failed(result.error());
            all.push_back({{"pool", pool.settings.name},
                           {"error", name_of(result.error().kind)},
                           {"message", result.error().text}});
            continue;
        }
        if (result->counts.failed > 0) status = 1;
        all.push_back(counts_json(pool.settings.name, *result));
        if (!arguments.json) print_counts(pool.settings.name, *result, arguments.dry_run);
    }
    if (arguments.json) print_json(all);
    return status;
}

}  // namespace

Command add_scan(CLI::App& program) {
    auto arguments = std::make_shared<ScanArguments>();
    CLI::App& parser = *program.add_subcommand(
        "scan", "Take what the pools hold into the catalog; one that was interrupted goes on");
    add_common(parser, *arguments);
    parser.add_option("POOL", arguments->pool, "only this pool (default: all active ones)");
    parser.add_flag("--hash", arguments->hash,
                    "read contents whose hash and type are not known; takes as long as that");
    parser.add_flag("--dry-run", arguments->dry_run, "say what would be done and change nothing");
    return {&parser, [arguments] { return scan(*arguments); }};
}

}  // namespace tidepool::cli
