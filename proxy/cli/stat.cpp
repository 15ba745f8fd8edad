// tidepool stat: what is known of one object, and what its store says.
#include "proxy/cli/command.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::ObjectInfo;
using storage::ObjectRecord;

struct StatArguments : CommonOptions {
    std::string key;
    bool offline = false;
};

// What the store says beside what the catalog says.
struct Report {
    std::optional<ObjectRecord> row;
    std::string pool;                         // "" = none has it
    std::optional<Result<ObjectInfo>> store;  // nothing: it was not asked
};

bool agrees(const ObjectRecord& row, const ObjectInfo& info) {
    return row.size == info.size &&
           (row.store_etag.empty() || info.etag.empty() || row.store_etag == info.etag);
}

Json store_json(const Report& report) {
    if (!report.store) return nullptr;
    const Result<ObjectInfo>& info = *report.store;
    if (!info) return {{"error", name_of(info.error().kind)}, {"message", info.error().text}};
    Json json{{"size", info->size}, {"modified", info->modified_s}, {"etag", info->etag}};
    if (report.row) json["agrees"] = agrees(*report.row, *info);
    return json;
}

std::string store_text(const Report& report) {
    if (!report.store) return "not asked";
    const Result<ObjectInfo>& info = *report.store;
    if (!info) {
        return info.error().kind == ErrorKind::not_found ? "absent, although the catalog has it"
                                                         : info.error().text;
    }
    const std::string what = fmt::format("{} bytes, {}", info->size, human_time(info->modified_s));
    if (!report.row) return what + ", not in the catalog yet";
    return what +
           (agrees(*report.row, *info) ? ", as the catalog says" : ", not as the catalog says");
}

void print_text(const std::string& key, const Report& report) {
    const auto line = [](const char* name, const std::string& value) {
        fmt::print("{:<14}{}\n", name, value.empty() ? "-" : value);
    };
    line("key", key);
    line("pool", report.pool);
    if (const auto& row = report.row) {
        line("image", row->image ? storage::to_text(*row->image) : "");
        line("role", std::string(storage::name_of(row->role)));
        line("size", std::to_string(row->size));
        line("sha256", row->sha256 ? conf::hex(*row->sha256) : "");
        line("content type", row->content_type);
        line("modified", human_time(row->modified_s));
        line("store etag", row->store_etag);
        line("version", row->version_id);
        line("added", human_time(row->added_s));
    }
    line("in the store", store_text(report));
}

// Where the catalog has no row, the local pools are looked at.
Result<Report> look(Workspace& workspace, const std::string& key, bool offline) {
    Report report;
    const auto row = workspace.catalog().find(key);
    if (!row) return std::unexpected(row.error());
    report.row = *row;
    if (report.row) {
        report.pool = workspace.pool_name(report.row->pool);
        if (offline) return report;
        const auto driver = workspace.driver_of(*report.row);
        report.store = driver ? (*driver)->head(key) : std::unexpected(driver.error());
        return report;
    }
    if (offline) return report;
    const auto pool = workspace.find_on_disks(key);
    if (!pool) return std::unexpected(pool.error());
    if (*pool == nullptr) return report;
    report.pool = (*pool)->settings.name;
    report.store = workspace.driver(**pool).head(key);
    return report;
}

int stat(const StatArguments& arguments) {
    const auto key = read_key(arguments.key);
    if (!key) return wrong_use(key.error(), arguments.json);
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    const auto report = look(*workspace, *key, arguments.offline);
    if (!report) return failed(report.error(), arguments.json);
    if (report->pool.empty()) {
        return failed({ErrorKind::not_found, *key + ": no pool is known to have it"},
                      arguments.json);
    }
    if (arguments.json) {
        Json json = report->row ? object_json(*report->row, report->pool)
                                : Json{{"key", *key}, {"pool", report->pool}};
        json["in_catalog"] = report->row.has_value();
        json["store"] = store_json(*report);
        print_json(json);
    } else {
        print_text(*key, *report);
    }
    const bool good = !report->store ||
                      (*report->store && (!report->row || agrees(*report->row, **report->store)));
    return good ? 0 : 1;
}

}  // namespace

Command add_stat(CLI::App& program) {
    auto arguments = std::make_shared<StatArguments>();
    CLI::App& parser = *program.add_subcommand(
        "stat", "Show what is known of an object; status 1 where its store does not agree");
    add_common(parser, *arguments);
    parser.add_option("KEY", arguments->key, "key, or path of its URL")->required();
    parser.add_flag("--offline", arguments->offline, "do not ask the store");
    return {&parser, [arguments] { return stat(*arguments); }};
}

}  // namespace tidepool::cli
