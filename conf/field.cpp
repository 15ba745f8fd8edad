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

// Says that `key` is missing in `table`.
void add_missing_key(const Node& table, std::string_view key, std::string_view example,
                     ProblemList& problems) {
    const std::string dot = table.path.empty() ? "" : ".";
    problems.add(table.place, fmt::format("{}{}{}", table.path, dot, key),
                 fmt::format("is missing: write {}", example));
}

void read_member(const Member& member, const std::vector<Field>& fields, void* section,
                 ProblemList& problems) {
    std::vector<std::string_view> known;
    for (const Field& field : fields) {
        if (field.key == member.key) {
            void* const value = static_cast<char*>(section) + field.place;
            return field.rules.read(member.value, value, problems);
        }
        known.push_back(field.key);
    }
    add_unknown_key(member, known, problems);
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

void read_fields(const Node& table, const std::vector<Field>& fields, void* section,
                 ProblemList& problems) {
    for (const Member& member : table.members)
        read_member(member, fields, section, problems);
    for (const Field& field : fields) {
        const auto is_it = [&field](const Member& member) { return member.key == field.key; };
        if (!field.example.empty() && std::ranges::none_of(table.members, is_it))
            add_missing_key(table, field.key, field.example, problems);
    }
}

void check_fields(const void* section, const std::string& name, const std::vector<Field>& fields,
                  Findings& findings) {
    for (const Field& field : fields) {
        const void* const value = static_cast<const char*>(section) + field.place;
        field.rules.check(value, name + "." + std::string(field.key), findings);
    }
}

std::vector<std::string> differing_fields(const void* one, const void* other,
                                          const std::string& name,
                                          const std::vector<Field>& fields) {
    std::vector<std::string> keys;
    for (const Field& field : fields) {
        if (!field.rules.is_same(static_cast<const char*>(one) + field.place,
                                 static_cast<const char*>(other) + field.place))
            keys.push_back(name + "." + std::string(field.key));
    }
    return keys;
}

}  // namespace tidepool::conf
