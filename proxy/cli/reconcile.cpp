// tidepool reconcile: the catalog against what the pools hold.
#include "storage/reconcile.h"

#include "conf/bytes.h"
#include "proxy/cli/command.h"
#include "proxy/cli/output.h"
#include "proxy/cli/progress.h"
#include "proxy/cli/workspace.h"
#include "proxy/serve/job_work.h"
#include "storage/abandoned_uploads.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::Finding;
using storage::FindingKind;
using storage::kAllFindings;
using storage::ReconcileCounts;
using storage::ReconcileOptions;
using storage::ReconcileResult;
using storage::RepairEnd;

constexpr std::size_t kMostKeysShown = 10;  // keys of one kind

struct ReconcileArguments : CommonOptions {
    std::vector<std::string> pools;  // none = all that are active
    bool deep = false;
    bool repair = false;
    std::string older_than;
    std::optional<unsigned> max_change;
};

// Some of what was found, by kind.
struct Shown {
    struct Line {
        std::string key;
        std::optional<RepairEnd> end;
    };
    std::array<std::vector<Line>, storage::kFindingKinds> lines;

    void add(const Finding& finding, const RepairEnd* end) {
        std::vector<Line>& of_kind = lines.at(static_cast<std::size_t>(finding.kind));
        if (end == nullptr && of_kind.size() < kMostKeysShown) of_kind.push_back({finding.key, {}});
        if (end == nullptr) return;
        const auto known = std::ranges::find(of_kind, finding.key, &Line::key);
        if (known != of_kind.end()) {
            known->end = *end;
        } else if (!end->is_repaired && of_kind.size() < 2 * kMostKeysShown) {
            of_kind.push_back({finding.key, *end});
        }
    }
};

const char* meaning(FindingKind kind) {
    switch (kind) {
        case FindingKind::missing_object:
            return "in the catalog, but not in the pool";
        case FindingKind::unknown_object:
            return "in the pool, but not in the catalog";
        case FindingKind::elsewhere:
            return "in the pool, but the catalog has it in another one";
        case FindingKind::wrong_size:
            return "of another size than the catalog says";
        case FindingKind::wrong_hash:
            return "of another content than the catalog says";
        case FindingKind::stale_row:
            return "right, but the catalog has another ETag or version";
        case FindingKind::late_variant:
            return "a variant whose image is in another pool";
        case FindingKind::hidden_version:
            return "versions or markers besides the object";
        case FindingKind::stray_upload:
            return "uploads in parts that nobody ended";
        case FindingKind::stray_temporary:
            return "temporary files that nobody ended";
    }
    return "";
}

Json keys_json(const Shown& shown) {
    Json keys = Json::array();
    for (const FindingKind kind : kAllFindings) {
        for (const Shown::Line& line : shown.lines.at(static_cast<std::size_t>(kind))) {
            Json one{{"finding", name_of(kind)}, {"key", line.key}};
            if (line.end) {
                one["repaired"] = line.end->is_repaired;
                one["end"] = line.end->what;
            }
            keys.push_back(std::move(one));
        }
    }
    return keys;
}

Json result_json(const std::string& pool, const ReconcileResult& result, const Shown& shown) {
    const ReconcileCounts& counts = result.counts;
    Json findings = Json::object();
    for (const FindingKind kind : kAllFindings) {
        const storage::FindingCounts& of_kind = counts.of(kind);
        findings[std::string(name_of(kind))] = {
            {"found", of_kind.found}, {"bytes", of_kind.bytes}, {"repaired", of_kind.repaired}};
    }
    return {{"pool", pool},
            {"all_well", result.all_well()},
            {"too_much", result.is_too_much},
            {"compared", counts.compared},
            {"bytes", counts.bytes},
            {"found", counts.found()},
            {"repaired", counts.repaired()},
            {"findings", std::move(findings)},
            {"pending", counts.pending},
            {"young", counts.young},
            {"left_out", counts.left_out},
            {"unreadable", counts.unreadable},
            {"left_over", result.left_over},
            {"keys", keys_json(shown)}};
}

void print_keys(const std::vector<Shown::Line>& lines, std::uint64_t found) {
    for (const Shown::Line& line : lines) {
        fmt::print("      {}{}{}\n", line.key, line.end ? ": " : "",
                   line.end ? line.end->what : "");
    }
    if (!lines.empty() && found > lines.size())
        fmt::print("      and {} more\n", found - lines.size());
}

void print_result(const std::string& pool, const ReconcileResult& result, const Shown& shown,
                  const ReconcileOptions& options) {
    const ReconcileCounts& counts = result.counts;
    fmt::print("pool {}: {} objects and rows, {}; {}\n", pool, counts.compared,
               human_size(counts.bytes),
               counts.found() == 0
                   ? std::string("nothing found")
                   : fmt::format("{} found, {} repaired", counts.found(), counts.repaired()));
    if (counts.found() > 0)
        fmt::print("  {:<16} {:>10} {:>10} {:>10}\n", "finding", "count", "bytes", "repaired");
    for (const FindingKind kind : kAllFindings) {
        const storage::FindingCounts& of_kind = counts.of(kind);
        if (of_kind.found == 0) continue;
        fmt::print("  {:<16} {:>10} {:>10} {:>10}  {}\n", name_of(kind), of_kind.found,
                   human_size(of_kind.bytes), of_kind.repaired, meaning(kind));
        print_keys(shown.lines.at(static_cast<std::size_t>(kind)), of_kind.found);
    }
    const auto line = [](std::uint64_t count, const char* what, const char* means) {
        if (count > 0) fmt::print("  {:<16} {:>10}  {}\n", what, count, means);
    };
    line(counts.pending, "pending", "a job moves, cleans or deletes them");
    line(counts.young, "young", "differ, but were written a short while ago (--older-than)");
    line(counts.left_out, "left out", "set aside before, hidden, or no path of a URL");
    line(counts.unreadable, "unreadable", "their content could not be read");
    line(result.left_over, "left over", "more than one run repairs; run it again");
    if (result.is_too_much) {
        fmt::print(
            "  Nothing was changed: more than {} % of what was compared would be. Look whether "
            "the disk is mounted\n  and whether this is the pool's catalog; --max-change "
            "says how much may change.\n",
            options.max_change_percent);
    } else if (!options.repair && counts.found() > 0) {
        fmt::print("  Nothing was changed; --repair does.\n");
    }
}

Result<ReconcileOptions> read_options(const Workspace& workspace,
                                      const ReconcileArguments& arguments) {
    const conf::Settings& settings = workspace.settings();
    auto grace = settings.reconcile.grace;
    if (!arguments.older_than.empty()) {
        const auto read = conf::parse_duration(arguments.older_than);
        if (!read)
            return fail(ErrorKind::invalid,
                        fmt::format("--older-than: expected a time like \"1h\", not \"{}\"",
                                    arguments.older_than));
        grace = std::chrono::duration_cast<std::chrono::milliseconds>(*read);
    }
    ReconcileOptions options;
    options.deep = arguments.deep;
    options.repair = arguments.repair;
    options.now_s = now_s();
    options.grace_s = std::chrono::duration_cast<std::chrono::seconds>(grace).count();
    options.max_change_percent =
        arguments.max_change.value_or(settings.reconcile.max_change_percent);
    options.quarantine_prefix = settings.reconcile.quarantine_prefix;
    options.cache_control = serve::cache_control_of(settings);
    return options;
}

Result<std::vector<const KnownPool*>> read_pools(const Workspace& workspace,
                                                 const ReconcileArguments& arguments) {
    std::vector<const KnownPool*> wanted;
    for (const std::string& name : arguments.pools) {
        const auto pool = workspace.find_pool(name);
        if (!pool) return std::unexpected(pool.error());
        wanted.push_back(*pool);
    }
    if (!arguments.pools.empty()) return wanted;
    for (const KnownPool& pool : workspace.pools()) {
        if (pool.settings.is_active) wanted.push_back(&pool);
    }
    return wanted;
}

Result<ReconcileResult> reconcile_one(Workspace& workspace, const KnownPool& pool,
                                      ReconcileOptions options, Shown& shown) {
    const auto accounts = workspace.catalog().accounts();
    if (!accounts) return std::unexpected(accounts.error());
    std::uint64_t known = 0;  // the best guess of how many there are
    for (const storage::Account& account : *accounts) {
        if (account.pool == pool.id) known += account.count;
    }
    Progress progress("reconcile " + pool.settings.name);
    options.found = [&](const Finding& finding) { shown.add(finding, nullptr); };
    options.ended = [&](const Finding& finding, const RepairEnd& end) { shown.add(finding, &end); };
    options.report = [&](const ReconcileCounts& counts) {
        workspace.drivers().exchange_budgets();
        progress.update(counts.compared,
                        known > counts.compared ? std::optional(known) : std::nullopt, " objects");
        return true;
    };
    return storage::reconcile_pool(workspace.catalog(), workspace.drivers(), pool.id, options);
}

int reconcile(const ReconcileArguments& arguments) {
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    const auto options = read_options(*workspace, arguments);
    if (!options) return wrong_use(options.error(), arguments.json);
    const auto pools = read_pools(*workspace, arguments);
    if (!pools) return wrong_use(pools.error(), arguments.json);
    if (arguments.repair) {
        // Else what they left would count as pending.
        const auto cleaned =
            storage::clean_abandoned_uploads(workspace->catalog(), workspace->drivers(), now_s());
        if (!cleaned) return failed(cleaned.error(), arguments.json);
    }
    int status = 0;
    Json all = Json::array();
    for (const KnownPool* pool : *pools) {
        const std::string& name = pool->settings.name;
        Shown shown;
        const auto result = reconcile_one(*workspace, *pool, *options, shown);
        if (!result) {
            status = failed(result.error());
            all.push_back({{"pool", name},
                           {"error", name_of(result.error().kind)},
                           {"message", result.error().text}});
            continue;
        }
        if (!result->all_well()) status = 1;
        all.push_back(result_json(name, *result, shown));
        if (!arguments.json) print_result(name, *result, shown, *options);
    }
    if (arguments.json) print_json(all);
    return status;
}

}  // namespace

Command add_reconcile(CLI::App& program) {
    auto arguments = std::make_shared<ReconcileArguments>();
    CLI::App& parser = *program.add_subcommand(
        "reconcile",
        "Compare the catalog with what the pools hold; status 1 where they differ after all");
    add_common(parser, *arguments);
    parser.add_option("POOL", arguments->pools, "only these (default: all active ones)");
    parser.add_flag("--deep", arguments->deep, "read all contents; takes as long as that");
    parser.add_flag("--repair", arguments->repair, "mend what differs, instead of only saying so");
    parser
        .add_option("--older-than", arguments->older_than,
                    "leave younger objects alone (default: reconcile.grace)")
        ->type_name("AGE");
    parser
        .add_option("--max-change", arguments->max_change,
                    "change nothing where more of what was compared would change (default: "
                    "reconcile.max_change_percent)")
        ->type_name("PERCENT")
        ->check(CLI::Range(0, 100));
    return {&parser, [arguments] { return reconcile(*arguments); }};
}

}  // namespace tidepool::cli
