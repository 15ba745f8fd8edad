// One setting, declared once: its key, the member that holds it, and its kind with range. The
// default is the member's. What is common to all sections knows theirs as an address alone, so that
// it is compiled once and not for each.
#pragma once

#include "conf/document.h"
#include "conf/problem.h"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::conf {

// Where a member lies within its section, in bytes.
template <class Section, class T>
std::size_t place_of(T Section::* member) {
    static const Section section{};
    return static_cast<std::size_t>(reinterpret_cast<const char*>(&(section.*member)) -
                                    reinterpret_cast<const char*>(&section));
}

// How a value of one type and kind is read, checked and compared, given its address.
struct ValueRules {
    std::function<void(const Node&, void* value, ProblemList&)> read;
    std::function<void(const void* value, const std::string& key, Findings&)> check;
    std::function<bool(const void* one, const void* other)> is_same;
};

template <class T, class Kind>
ValueRules rules_of(const Kind& kind) {
    return {[kind](const Node& node, void* value, ProblemList& problems) {
                kind.read(node, *static_cast<T*>(value), problems);
            },
            [kind](const void* value, const std::string& key, Findings& findings) {
                kind.check(*static_cast<const T*>(value), key, findings);
            },
            [](const void* one, const void* other) {
                return *static_cast<const T*>(one) == *static_cast<const T*>(other);
            }};
}

// A setting of a section.
struct Field {
    std::string_view key;
    std::size_t place;
    ValueRules rules;
    std::string_view example;  // of a setting that has no default: what to write; "" for all others
};

// One whose values are kept in a Section.
template <class Section>
struct FieldOf {
    Field field;
};

template <class Section, class T, class Kind>
FieldOf<Section> field(std::string_view key, T Section::* member, const Kind& kind) {
    return {{key, place_of(member), rules_of<T>(kind), {}}};
}

// A setting that must be there.
template <class Section>
FieldOf<Section> required(std::string_view example, FieldOf<Section> field) {
    field.field.example = example;
    return field;
}

// Says that `member` is unknown and what was probably meant.
void add_unknown_key(const Member& member, const std::vector<std::string_view>& known,
                     ProblemList& problems);

// Reads a table into the section at this address, whose fields these must be; what the table does
// not name stays as it is.
void read_fields(const Node& table, const std::vector<Field>& fields, void* section,
                 ProblemList& problems);

// Checks the ranges of the section at this address, whose fields these must be, and which is called
// `name`.
void check_fields(const void* section, const std::string& name, const std::vector<Field>& fields,
                  Findings& findings);

// The keys whose values differ between the sections at these addresses, both called `name`.
std::vector<std::string> differing_fields(const void* one, const void* other,
                                          const std::string& name,
                                          const std::vector<Field>& fields);

}  // namespace tidepool::conf
