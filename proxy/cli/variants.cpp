// tidepool variants make | list | rm: variants in bulk, by what the catalog knows.
#include "conf/bytes.h"
#include "proxy/cli/command.h"
#include "proxy/cli/object_printer.h"
#include "proxy/cli/output.h"
#include "proxy/cli/progress.h"
#include "proxy/cli/variant_run.h"
#include "proxy/cli/workspace.h"
#include "storage/image_key.h"
#include "transform/recipe.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::ObjectRecord;

constexpr std::size_t kMostOfAnImage = 1000;

struct VariantsArguments : CommonOptions {
    std::string pool;
    std::optional<std::string> profile;
    std::string since;
    double rate = 0;          // a second; 0 = as fast as it goes
    std::uint64_t limit = 0;  // 0 = all
    bool yes = false;
    bool dry_run = false;
};

// Which images, and which of their variants.
struct Selection {
    std::optional<storage::PoolId> pool;
    std::optional<std::string> profile;
    std::int64_t since_s = 0;
};

// "2026-02-25" (UTC), or a duration back from now: "36h".
Result<std::int64_t> read_since(const std::string& text) {
    std::tm day{};
    const char* const end = strptime(text.c_str(), "%Y-%m-%d", &day);
    if (end != nullptr && *end == '\0') return timegm(&day);
    const auto duration = conf::parse_duration(text);
    if (duration)
        return now_s() - std::chrono::duration_cast<std::chrono::seconds>(*duration).count();
    return fail(ErrorKind::invalid,
                fmt::format("--since: expected a day like 2026-02-25 or a time back like \"30d\", "
                            "not \"{}\"",
                            text));
}

Result<Selection> read_selection(const Workspace& workspace, const VariantsArguments& arguments) {
    Selection selection;
    if (!arguments.pool.empty()) {
        const auto found = workspace.find_pool(arguments.pool);
        if (!found) return std::unexpected(found.error());
        selection.pool = (*found)->id;
    }
    if (!arguments.since.empty()) {
        const auto since = read_since(arguments.since);
        if (!since) return std::unexpected(since.error());
        selection.since_s = *since;
    }
    selection.profile = arguments.profile;
    const auto& profiles = workspace.settings().profiles;
    if (selection.profile && std::ranges::find(profiles, *selection.profile,
                                               &conf::VariantProfile::name) == profiles.end()) {
        std::string names;
        for (const conf::VariantProfile& profile : profiles)
            names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", profile.name);
        return fail(ErrorKind::invalid,
                    fmt::format("--profile: there is no profile \"{}\"; there are {}",
                                *selection.profile, names));
    }
    return selection;
}

// Holds back so that no more than `rate` begin in a second.
class Pace {
  public:
    explicit Pace(double rate)
        : step_(rate > 0 ? std::chrono::duration_cast<Clock::duration>(
                               std::chrono::duration<double>(1 / rate))
                         : Clock::duration::zero()) {}
    void hold_back() {
        // tidy: allow sleep, the rate is what the operator asked for
        std::this_thread::sleep_until(next_);
        next_ = std::max(next_ + step_, Clock::now() - std::chrono::seconds(1));
    }

  private:
    using Clock = std::chrono::steady_clock;
    Clock::duration step_;
    Clock::time_point next_ = Clock::now();
};

// Calls `take` for the rows below one of the folders of url_prefix, until it says false.
Result<void> for_each(Workspace& workspace, const Selection& selection, std::string_view folder,
                      const std::function<Result<bool>(const ObjectRecord&)>& take) {
    const std::string prefix =
        fmt::format("{}{}/", workspace.settings().server.url_prefix.substr(1), folder);
    std::string after;
    while (true) {
        const auto page =
            workspace.catalog().list(selection.pool, prefix, after, storage::Catalog::kPage);
        if (!page) return std::unexpected(page.error());
        for (const ObjectRecord& row : *page) {
            if (row.modified_s < selection.since_s) continue;
            const auto goes_on = take(row);
            if (!goes_on) return std::unexpected(goes_on.error());
            if (!*goes_on) return {};
        }
        if (page->size() < storage::Catalog::kPage) return {};
        after = page->back().key;
    }
}

bool is_selected_variant(const Selection& selection, const ObjectRecord& row) {
    const storage::ImageKey key = storage::parse_image_key(row.key);
    if (row.role != storage::Role::variant || !key.image || key.day.empty()) return false;
    return !selection.profile || key.size == *selection.profile;
}

struct Sum {
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
    void add(const ObjectRecord& row) {
        ++count;
        bytes += row.size;
    }
};

int list_variants(Workspace& workspace, const Selection& selection,
                  const VariantsArguments& arguments) {
    ObjectPrinter printer(arguments.json);
    const auto listed =
        for_each(workspace, selection, "variants", [&](const ObjectRecord& row) -> Result<bool> {
            if (!is_selected_variant(selection, row)) return true;
            printer.print(row, workspace.pool_name(row.pool));
            return arguments.limit == 0 || printer.count() < arguments.limit;
        });
    if (!listed) return failed(listed.error());
    printer.end();
    return 0;
}

int remove_variants(Workspace& workspace, const Selection& selection,
                    const VariantsArguments& arguments) {
    Sum sum;
    std::uint64_t failures = 0;
    const bool is_meant = arguments.yes && !arguments.dry_run;
    {
        Progress progress(is_meant ? "remove variants" : "count variants");
        Pace pace(is_meant ? arguments.rate : 0);
        const auto done = for_each(
            workspace, selection, "variants", [&](const ObjectRecord& row) -> Result<bool> {
                if (!is_selected_variant(selection, row)) return true;
                if (is_meant) {
                    pace.hold_back();
                    if (const auto removed = workspace.remove(row); !removed) {
                        ++failures;
                        failed(removed.error());
                        return true;
                    }
                }
                sum.add(row);
                progress.update(sum.count, std::nullopt, " variants");
                return arguments.limit == 0 || sum.count < arguments.limit;
            });
        if (!done) return failed(done.error());
    }
    if (arguments.json) {
        print_json({{"variants", sum.count},
                    {"bytes", sum.bytes},
                    {"removed", is_meant},
                    {"failed", failures}});
    } else {
        fmt::print("{} variants, {}: {}\n", sum.count, human_size(sum.bytes),
                   is_meant ? "removed" : "would be removed; with --yes they are");
    }
    return failures > 0 ? 1 : 0;
}

// Those of an original's variants that the catalog does not know.
Result<std::vector<std::string>> missing_of(Workspace& workspace, const Selection& selection,
                                            const ObjectRecord& original) {
    std::vector<std::string> missing;
    const storage::ImageKey key = storage::parse_image_key(original.key);
    const auto prefix = storage::variants_prefix(original.key);
    if (original.role != storage::Role::original || !key.image || key.day.empty() || !prefix)
        return missing;
    const auto rows = workspace.catalog().list(std::nullopt, *prefix, "", kMostOfAnImage);
    if (!rows) return std::unexpected(rows.error());
    std::set<std::string> known;
    for (const ObjectRecord& row : *rows)
        known.insert(row.key);
    for (const transform::VariantName& name :
         transform::variants_of(workspace.settings(), key.extension, false)) {
        if (selection.profile && name.size != *selection.profile) continue;
        std::string variant = *prefix + name.ending();
        if (!known.contains(variant)) missing.push_back(std::move(variant));
    }
    return missing;
}

// What is made with the first variant of an image is all that is wanted of it.
conf::Settings settings_of(const Workspace& workspace, const Selection& selection) {
    conf::Settings settings = workspace.settings();
    for (conf::VariantProfile& profile : settings.profiles)
        profile.together = !selection.profile || profile.name == *selection.profile;
    return settings;
}

int make_variants(Workspace& workspace, const Selection& selection,
                  const VariantsArguments& arguments) {
    std::unique_ptr<VariantRun> run;
    if (!arguments.dry_run) {
        auto opened = VariantRun::open(settings_of(workspace, selection));
        if (!opened) return failed(opened.error());
        run = std::move(*opened);
    }
    std::uint64_t images = 0;
    std::uint64_t missing = 0;
    {
        Progress progress("make variants");
        Pace pace(arguments.rate);
        const auto done = for_each(
            workspace, selection, "original", [&](const ObjectRecord& row) -> Result<bool> {
                auto keys = missing_of(workspace, selection, row);
                if (!keys) return std::unexpected(keys.error());
                if (keys->empty()) return true;
                ++images;
                missing += keys->size();
                if (run) {
                    pace.hold_back();
                    run->add(std::move(*keys));
                    const VariantRun::Counts counts = run->counts();
                    progress.update(counts.made + counts.without + counts.failed, std::nullopt,
                                    " variants");
                }
                return arguments.limit == 0 || images < arguments.limit;
            });
        if (run) run->wait();
        if (!done) return failed(done.error());
    }
    const VariantRun::Counts counts = run ? run->counts() : VariantRun::Counts{};
    if (arguments.json) {
        print_json({{"images", images},
                    {"missing", missing},
                    {"made", counts.made},
                    {"without", counts.without},
                    {"failed", counts.failed}});
    } else if (!run) {
        fmt::print("{} images lack {} variants\n", images, missing);
    } else {
        fmt::print("{} images: {} variants made, {} that they do not have, {} failed\n", images,
                   counts.made, counts.without, counts.failed);
    }
    return counts.failed > 0 ? 1 : 0;
}

using VariantsAction = int (*)(Workspace&, const Selection&, const VariantsArguments&);

int run_action(VariantsAction action, const VariantsArguments& arguments) {
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    const auto selection = read_selection(*workspace, arguments);
    if (!selection) return wrong_use(selection.error(), arguments.json);
    return action(*workspace, *selection, arguments);
}

CLI::App& add_action(CLI::App& parent, const char* name, const char* what,
                     VariantsArguments& arguments, const char* of_what) {
    CLI::App& parser = *parent.add_subcommand(name, what);
    add_common(parser, arguments);
    parser.add_option("--pool", arguments.pool, fmt::format("only {} of this pool", of_what))
        ->type_name("POOL");
    parser
        .add_option("--profile", arguments.profile,
                    "only variants of this profile; '' is the one without a name")
        ->type_name("NAME");
    parser
        .add_option("--since", arguments.since,
                    fmt::format("only {} that are as new: 2026-02-25, or \"30d\"", of_what))
        ->type_name("DAY|TIME");
    parser.add_option("--limit", arguments.limit, "at most so many")->type_name("N");
    return parser;
}

void add_rate(CLI::App& parser, VariantsArguments& arguments, const char* of_what) {
    parser
        .add_option("--rate", arguments.rate, fmt::format("at most so many {} a second", of_what))
        ->type_name("N")
        ->check(CLI::Range(0.001, 1e6));
}

}  // namespace

Command add_variants(CLI::App& program) {
    auto arguments = std::make_shared<VariantsArguments>();
    CLI::App& parser = *program.add_subcommand(
        "variants", "Make, list or remove variants in bulk; scan first what others wrote");
    parser.require_subcommand(1);
    CLI::App& making = add_action(
        parser, "make", "Make those that are missing; one that was interrupted is just begun again",
        *arguments, "originals");
    add_rate(making, *arguments, "images");
    making.add_flag("--dry-run", arguments->dry_run, "say what is missing and make nothing");
    CLI::App& listing =
        add_action(parser, "list", "List those that the catalog knows", *arguments, "variants");
    CLI::App& removing = add_action(parser, "rm", "Remove variants for good; never originals",
                                    *arguments, "variants");
    add_rate(removing, *arguments, "variants");
    removing.add_flag("--dry-run", arguments->dry_run, "say what would be removed");
    removing.add_flag("--yes", arguments->yes, "really remove them");
    return {&parser, [arguments, making = &making, listing = &listing] {
                const VariantsAction action = making->parsed()    ? make_variants
                                              : listing->parsed() ? list_variants
                                                                  : remove_variants;
                return run_action(action, *arguments);
            }};
}

}  // namespace tidepool::cli
