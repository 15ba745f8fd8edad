// One setting, declared once: its key, the member that holds it, and its kind with range. The
// default is the member's.
#pragma once

#include "conf/document.h"
#include "conf/problem.h"

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::conf {

// A setting of a section whose values are kept in a Section.
template <class Section>
struct Field {
    std::string_view key;
    std::function<void(const Node&, Section&, ProblemList&)> read;
    std::function<void(const Section&, const std::string& key, Findings&)> check;
    std::string_view example;  // of a setting that has no default: what to write; "" for all others
};

template <class Section, class T, class Kind>
Field<Section> field(std::string_view key, T Section::* member, const Kind& kind) {
    return {key,
            [member, kind](const Node& node, Section& into, ProblemList& problems) {
                kind.read(node, into.*member, problems);
            },
            [member, kind](const Section& from, const std::string& path, Findings& findings) {
                kind.check(from.*member, path, findings);
            },
            {}};
}

// A setting that must be there.
template <class Section>
Field<Section> required(std::string_view example, Field<Section> field) {
    field.example = example;
    return field;
}

// Says that `member` is unknown and what was probably meant.
void add_unknown_key(const Member& member, const std::vector<std::string_view>& known,
                     ProblemList& problems);
// Says that `key` is missing in `table`.
void add_missing_key(const Node& table, std::string_view key, std::string_view example,
                     ProblemList& problems);

template <class Section>
void read_member(const Member& member, const std::vector<Field<Section>>& fields, Section& into,
                 ProblemList& problems) {
    std::vector<std::string_view> known;
    for (const Field<Section>& field : fields) {
        if (field.key == member.key) return field.read(member.value, into, problems);
        known.push_back(field.key);
    }
    add_unknown_key(member, known, problems);
}

// Reads a table into a section; what it does not name stays as it is.
template <class Section>
void read_fields(const Node& table, const std::vector<Field<Section>>& fields, Section& into,
                 ProblemList& problems) {
    for (const Member& member : table.members)
        read_member(member, fields, into, problems);
    for (const Field<Section>& field : fields) {
        const auto is_it = [&field](const Member& member) { return member.key == field.key; };
        if (!field.example.empty() && std::ranges::none_of(table.members, is_it)) {
            add_missing_key(table, field.key, field.example, problems);
        }
    }
}

// Checks the ranges of a section that is called `name`.
template <class Section>
void check_fields(const Section& section, const std::string& name,
                  const std::vector<Field<Section>>& fields, Findings& findings) {
    for (const Field<Section>& field : fields)
        field.check(section, name + "." + std::string(field.key), findings);
}

}  // namespace tidepool::conf
