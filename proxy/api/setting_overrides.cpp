#include "proxy/api/setting_overrides.h"

#include "conf/field.h"
#include "conf/settings_check.h"
#include "conf/settings_schema.h"
#include "proxy/api/json_node.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tidepool::api {

namespace {

constexpr std::array<std::string_view, 3> kChangeable{"limits", "timeouts", "tiering"};

std::string name_of_setting(std::string_view section, std::string_view key) {
    return fmt::format("{}.{}", section, key);
}

std::string_view section_of(std::string_view name) {
    return name.substr(0, name.find('.'));
}

// Null where there is none, or none that can be changed.
const conf::SectionSchema* find_changeable(std::string_view section) {
    if (std::ranges::find(kChangeable, section) == kChangeable.end()) return nullptr;
    const auto& schema = conf::settings_schema();
    return &*std::ranges::find(schema, section, &conf::SectionSchema::name);
}

std::string unknown_name(const std::string& name, std::span<const std::string_view> known) {
    conf::ProblemList problems("");
    conf::add_unknown_key({name, {}, {}}, {known.begin(), known.end()}, problems);
    return problems.take_sorted().front().message;
}

std::string not_changeable(const std::string& section) {
    const auto& schema = conf::settings_schema();
    if (std::ranges::find(schema, section, &conf::SectionSchema::name) == schema.end())
        return unknown_name(section, kChangeable);
    return fmt::format("is changed in the configuration file alone; here there are {}",
                       fmt::join(kChangeable, ", "));
}

// What is wrong with an override by itself; nothing: it is in `into` now.
std::optional<std::string> read_override(const std::string& name, const Json& value,
                                         conf::Settings& into) {
    const std::string section(section_of(name));
    const conf::SectionSchema* const schema = find_changeable(section);
    if (schema == nullptr) return not_changeable(section);
    if (value.is_discarded()) return "its value in the catalog is no JSON";
    conf::Node table;
    table.path = section;
    const std::size_t key = std::min(section.size() + 1, name.size());
    table.members.push_back({name.substr(key), {}, node_of(value, name)});
    conf::ProblemList problems("");
    schema->read(table, into, problems);
    auto found = problems.take_sorted();
    if (found.empty()) return std::nullopt;
    return std::move(found.front().message);
}

// The findings that some of the overrides take part in.
conf::Findings findings_about(const Overrides& overrides, const conf::Settings& settings) {
    conf::Findings findings = conf::find_wrong_settings(settings);
    std::erase_if(findings, [&](const conf::Finding& finding) {
        return std::ranges::none_of(
            finding.keys, [&](const std::string& key) { return overrides.contains(key); });
    });
    return findings;
}

// One patch while it is looked at.
class SettingsPatch {
  public:
    explicit SettingsPatch(const Overrides& known) : known_(known) { made_.all = known; }

    void take(const std::string& section, const Json& value) {
        if (value.is_null()) return take_back(section);
        const conf::SectionSchema* const schema = find_changeable(section);
        if (schema == nullptr) return complain(section, not_changeable(section));
        if (!value.is_object()) return complain_of_type(*schema, value);
        for (const auto& [key, each] : value.items()) {
            const std::string name = name_of_setting(section, key);
            if (each.is_null()) {
                take_back(*schema, key, name);
            } else {
                made_.all.insert_or_assign(name, each);
                named_.insert(name);
            }
        }
    }

    // What is wrong with the settings as they would be, where the patch has to do with it.
    void check(const conf::Settings& file) {
        std::map<std::string, unsigned> rounds;  // in which a name was found to be wrong
        for (const RefusedOverride& each : override_settings(file, made_.all).refused) {
            const auto is_named = [&](const std::string& key) { return named_.contains(key); };
            // Said already of what it follows from.
            const auto is_known = [&](const std::string& key) {
                const auto found = rounds.find(key);
                return found != rounds.end() && found->second < each.round;
            };
            const auto& keys = each.why.keys;
            const auto to_blame = std::ranges::find_if(keys, is_named);
            if (to_blame == keys.end() || std::ranges::any_of(keys, is_known)) continue;
            complain(*to_blame, each.why.message);
            for (const std::string& key : keys) {
                if (is_named(key)) rounds.emplace(key, each.round);
            }
        }
    }

    PatchedOverrides end() {
        for (const std::string& name : named_) {
            const auto before = known_.find(name);
            const auto after = made_.all.find(name);
            const bool was_there = before != known_.end();
            if (after == made_.all.end()) {
                if (was_there) made_.changes.push_back({.name = name, .value = {}});
                continue;
            }
            // What is no JSON is not different from anything, by the library, and equal to nothing.
            if (was_there && before->second == after->second) continue;
            made_.changes.push_back({.name = name, .value = text_of(after->second)});
        }
        std::ranges::sort(made_.problems, {}, [](const FieldProblem& problem) {
            return std::tie(problem.field, problem.message);
        });
        return std::move(made_);
    }

  private:
    void take_back(const std::string& section) {
        bool is_known = find_changeable(section) != nullptr;
        for (const auto& [name, value] : known_) {
            if (section_of(name) != section) continue;
            is_known = true;
            made_.all.erase(name);
            named_.insert(name);
        }
        if (!is_known) complain(section, not_changeable(section));
    }

    void take_back(const conf::SectionSchema& schema, const std::string& key,
                   const std::string& name) {
        const bool is_setting = std::ranges::find(schema.keys, key) != schema.keys.end();
        if (!is_setting && !known_.contains(name))
            return complain(name, unknown_name(key, schema.keys));
        made_.all.erase(name);
        named_.insert(name);
    }

    void complain_of_type(const conf::SectionSchema& schema, const Json& value) {
        conf::Settings none;
        conf::ProblemList problems("");
        const std::string section(schema.name);
        schema.read(node_of(value, section), none, problems);
        complain(section, problems.take_sorted().front().message);
    }

    void complain(std::string field, std::string message) {
        made_.problems.push_back({std::move(field), std::move(message)});
    }

    const Overrides& known_;
    PatchedOverrides made_;
    std::set<std::string> named_;
};

}  // namespace

std::span<const std::string_view> changeable_sections() {
    return kChangeable;
}

Overrides overrides_of(std::span<const storage::SettingRecord> rows) {
    Overrides overrides;
    for (const storage::SettingRecord& row : rows)
        overrides.emplace(row.name, Json::parse(row.value, nullptr, false));
    return overrides;
}

OverriddenSettings override_settings(const conf::Settings& file, Overrides overrides) {
    OverriddenSettings made;
    std::erase_if(overrides, [&](const auto& each) {
        conf::Settings scratch = file;
        auto wrong = read_override(each.first, each.second, scratch);
        if (wrong) made.refused.push_back({{{each.first}, std::move(*wrong)}, 0});
        return wrong.has_value();
    });
    for (unsigned round = 1;; ++round) {
        made.settings = file;
        for (const auto& [name, value] : overrides)
            read_override(name, value, made.settings);
        conf::Findings findings = findings_about(overrides, made.settings);
        if (findings.empty()) break;
        for (conf::Finding& finding : findings) {
            for (const std::string& key : finding.keys)
                overrides.erase(key);
            made.refused.push_back({std::move(finding), round});
        }
    }
    for (const auto& [name, value] : overrides)
        made.names.push_back(name);
    return made;
}

PatchedOverrides patch_overrides(const conf::Settings& file, const Overrides& known,
                                 const Json& patch) {
    SettingsPatch made(known);
    for (const auto& [section, value] : patch.items())
        made.take(section, value);
    made.check(file);
    return made.end();
}

}  // namespace tidepool::api
