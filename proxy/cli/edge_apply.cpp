// tidepool edge apply: puts the rules into the zone, among those of others.
#include "conf/quote.h"
#include "conf/text_rules.h"
#include "proxy/cli/edge.h"
#include "proxy/cli/safe_way.h"
#include "proxy/cli/workspace.h"
#include "proxy/cli/zone_setup.h"
#include "proxy/edge/zone_merge.h"
#include "proxy/edge/zone_secrets.h"
#include "proxy/serve/zone_rulesets.h"

#include <array>
#include <cstdio>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

namespace tidepool::cli {

namespace {

// One phase as it is, and as it is to be.
struct PhasePlan {
    edge::Phase phase;
    serve::PhaseRules there;
    edge::PhaseMerge merge;
};

std::expected<conf::Secret, int> token_of(const ApplyArguments& arguments,
                                          const conf::Settings& settings) {
    conf::Secret token = settings.purge.api_token;
    if (!arguments.token_file.empty()) {
        auto read =
            conf::read_secret("file:" + std::filesystem::absolute(arguments.token_file).string());
        if (!read) return std::unexpected(wrong_use(read.error()));
        token = std::move(*read);
    }
    if (token.empty())
        return std::unexpected(
            wrong_use({ErrorKind::invalid,
                       "a token of the API is needed: --token-file FILE, or purge.api_token"}));
    if (conf::has_control_character(token.reveal()))
        return std::unexpected(
            wrong_use({ErrorKind::invalid, "the token holds a control character"}));
    return token;
}

std::expected<std::string, int> api_url_of(const ApplyArguments& arguments,
                                           const conf::Settings& settings) {
    const std::string& url = arguments.api_url.empty() ? settings.purge.api_url : arguments.api_url;
    if (const std::string wrong = conf::wrong_in_base_url(url); !wrong.empty())
        return std::unexpected(wrong_use({ErrorKind::invalid, "--api-url: " + wrong}));
    if (!is_safe_way(url))
        return std::unexpected(
            wrong_use({ErrorKind::invalid, url + ": a token is sent by https:// alone"}));
    return url;
}

edge::ZoneJson wanted_rules(const edge::ZoneRules& rules, edge::Phase phase) {
    edge::ZoneJson wanted = edge::ZoneJson::array();
    for (const edge::ZoneRule& rule : edge::rules_of(rules, phase))
        wanted.push_back(edge::rule_json(
            rule, [&](std::string_view name) { return edge::value_of(rules.secrets, name); }));
    return wanted;
}

// All phases, those where nothing is wanted as well: there may be rules of ours from before.
Result<std::vector<PhasePlan>> plan_changes(serve::ZoneRulesets& api,
                                            const edge::ZoneRules& rules) {
    std::vector<PhasePlan> plans;
    for (std::size_t index = 0; index < edge::kPhases; ++index) {
        const edge::Phase phase = edge::phase_at(index);
        auto there = api.read(phase);
        if (!there)
            return fail(there.error().kind,
                        fmt::format("{}: {}", edge::api_name(phase), there.error().text));
        edge::PhaseMerge merge = edge::merge_rules(there->rules, wanted_rules(rules, phase));
        plans.push_back({phase, std::move(*there), std::move(merge)});
    }
    return plans;
}

// Names and fields, but no values: an old one may hold a key that nobody here knows to hide.
void print_plan(const PhasePlan& plan) {
    const edge::PhaseMerge& merge = plan.merge;
    std::array<std::size_t, 3> counts{};
    for (const edge::RuleChange& change : merge.changes)
        ++counts.at(static_cast<std::size_t>(change.kind));
    if (merge.changes_nothing() && merge.same + merge.foreign == 0) return;
    fmt::print("{}: {} added, {} changed, {} removed, {} as they are, {} of others kept{}\n",
               edge::api_name(plan.phase), counts[0], counts[1], counts[2], merge.same,
               merge.foreign, merge.is_moved ? "; in another order" : "");
    for (const edge::RuleChange& change : merge.changes) {
        constexpr std::array<char, 3> kMarks{'+', '~', '-'};
        fmt::print("  {} {}", kMarks.at(static_cast<std::size_t>(change.kind)),
                   conf::printable(change.name));
        if (!change.fields.empty()) fmt::print(": {}", fmt::join(change.fields, ", "));
        fmt::print("\n");
    }
}

// Nothing: go on. Else the exit status.
std::optional<int> ask_whether(const ApplyArguments& arguments, std::size_t phases) {
    if (arguments.yes) return std::nullopt;
    if (isatty(STDIN_FILENO) == 0)
        return wrong_use(
            {ErrorKind::invalid,
             "nothing is changed: there is nobody to ask, so say --yes (or --dry-run)"});
    fmt::print("Change {} phase{} of the zone? [y/N] ", phases, phases == 1 ? "" : "s");
    std::fflush(stdout);
    std::array<char, 16> answer{};
    if (std::fgets(answer.data(), answer.size(), stdin) != nullptr &&
        (answer[0] == 'y' || answer[0] == 'Y'))
        return std::nullopt;
    fmt::print("Nothing is changed.\n");
    return 1;
}

Result<void> write_plan(serve::ZoneRulesets& api, const PhasePlan& plan) {
    // Somebody else may have changed it while it was looked at.
    const auto now = api.read(plan.phase);
    if (!now) return std::unexpected(now.error());
    if (*now != plan.there)
        return fail(ErrorKind::conflict, "somebody has changed its rules meanwhile: apply again");
    const auto written = api.write(plan.phase, plan.merge.rules);
    if (!written) return std::unexpected(written.error());
    return {};
}

int write_plans(serve::ZoneRulesets& api, const std::vector<const PhasePlan*>& plans) {
    std::vector<std::string_view> done;
    for (std::size_t index = 0; index < plans.size(); ++index) {
        const auto written = write_plan(api, *plans[index]);
        if (written) {
            done.push_back(edge::api_name(plans[index]->phase));
            continue;
        }
        std::vector<std::string_view> open;
        for (std::size_t later = index; later < plans.size(); ++later)
            open.push_back(edge::api_name(plans[later]->phase));
        fmt::print("written: {}; not written: {}\n",
                   done.empty() ? "nothing" : fmt::format("{}", fmt::join(done, ", ")),
                   fmt::join(open, ", "));
        std::fflush(stdout);
        return failed(
            {written.error().kind,
             fmt::format("{}: {}", edge::api_name(plans[index]->phase), written.error().text)});
    }
    fmt::print("written: {}\n", fmt::join(done, ", "));
    return 0;
}

}  // namespace

int apply_rules(const ApplyArguments& arguments) {
    const auto setup = read_zone_setup(arguments);
    if (!setup) return setup.error();
    const auto rules = rules_of_setup(*setup);
    if (!rules) return rules.error();
    if (setup->zone_id.empty())
        return wrong_use(
            {ErrorKind::invalid, "the zone's id is needed: --zone ID, or purge.zone_id"});
    const auto token = token_of(arguments, setup->settings);
    if (!token) return token.error();
    const auto url = api_url_of(arguments, setup->settings);
    if (!url) return url.error();
    serve::ZoneRulesets api(*url, setup->zone_id, *token, setup->settings.purge.timeout);

    const auto plans = plan_changes(api, *rules);
    if (!plans) return failed(plans.error());
    std::vector<const PhasePlan*> to_write;
    for (const PhasePlan& plan : *plans) {
        print_plan(plan);
        if (!plan.merge.changes_nothing()) to_write.push_back(&plan);
    }
    for (const std::string& note : rules->notes)
        fmt::print("note: {}\n", note);
    if (to_write.empty()) {
        fmt::print("Nothing is to be changed.\n");
        return 0;
    }
    if (arguments.is_dry_run) {
        fmt::print("Not written.\n");
        return 0;
    }
    if (const auto stopped = ask_whether(arguments, to_write.size())) return *stopped;
    const int status = write_plans(api, to_write);
    if (status == 0)
        fmt::print("Records and settings of the zone are as they were: tidepool edge rules.\n");
    return status;
}

}  // namespace tidepool::cli
