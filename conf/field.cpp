#include "conf/field.h"

#include "conf/nearest_name.h"
#include "conf/quote.h"
#include "conf/settings_schema.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tidepool::conf {

namespace {

// The header of a section that has that key, "[limits]", or "".
std::string section_with(std::string_view key) {
    for (const SectionSchema& section : settings_schema()) {
        if (std::ranges::find(section.keys, key) == section.keys.end()) continue;
        return fmt::format(fmt::runtime(section.is_repeated ? "[[{}]]" : "[{}]"), section.name);
    }
    return {};
}

}  // namespace

void add_unknown_key(const Member& member, const std::vector<std::string_view>& known,
                     ProblemList& problems) {
    std::string hint;
    if (const auto nearest = nearest_name(member.key, known)) {
        hint = fmt::format("did you mean {}?", quote(*nearest));
    } else if (const std::string section = section_with(member.key); !section.empty()) {
        hint = fmt::format("it belongs to {}", section);
    } else {
        hint = fmt::format("known here: {}", fmt::join(known, ", "));
    }
    problems.add(member.place, member.value.path, "unknown key; " + hint);
}

void add_missing_key(const Node& table, std::string_view key, std::string_view example,
                     ProblemList& problems) {
    const std::string dot = table.path.empty() ? "" : ".";
    problems.add(table.place, fmt::format("{}{}{}", table.path, dot, key),
                 fmt::format("is missing: write {}", example));
}

}  // namespace tidepool::conf
