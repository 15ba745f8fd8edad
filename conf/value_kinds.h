// The kinds of values a setting can have. Each kind reads its TOML (`read`: types and spelling,
// problems with the spot in the file) and knows its range (`check`: any value, wherever it came
// from).
#pragma once

#include "conf/bytes.h"
#include "conf/document.h"
#include "conf/listen_address.h"
#include "conf/problem.h"
#include "conf/secret.h"
#include "conf/text_rules.h"

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidepool::conf {

// Adds "expected EXPECTED, not VALUE".
void add_unexpected(const Node& node, std::string_view expected, ProblemList& problems);

// A whole number.
struct Count {
    std::int64_t min;
    std::int64_t max;

    template <std::integral T>
    void read(const Node& node, T& into, ProblemList& problems) const {
        // The range is checked here already, for what lies outside may not fit into T.
        if (const auto value = read_number(node, problems)) into = static_cast<T>(*value);
    }
    void check(std::int64_t value, const std::string& key, Findings& findings) const;

  private:
    std::string expected() const;
    std::optional<std::int64_t> read_number(const Node& node, ProblemList& problems) const;
};

// A number of bytes (or bytes a second), "64KiB".
struct Size {
    std::uint64_t min;
    std::uint64_t max;

    void read(const Node& node, std::uint64_t& into, ProblemList& problems) const;
    void check(std::uint64_t value, const std::string& key, Findings& findings) const;
};

// A time, "250ms".
struct Duration {
    std::chrono::milliseconds min;
    std::chrono::milliseconds max;

    void read(const Node& node, std::chrono::milliseconds& into, ProblemList& problems) const;
    void check(std::chrono::milliseconds value, const std::string& key, Findings& findings) const;
};

// Permissions of a file as octal text, "0660".
struct FileMode {
    void read(const Node& node, unsigned& into, ProblemList& problems) const;
    void check(unsigned value, const std::string& key, Findings& findings) const;
};

struct Flag {
    void read(const Node& node, bool& into, ProblemList& problems) const;
    void check(bool, const std::string&, Findings&) const {}
};

// A secret, "env:NAME" or "file:/PATH", read at once; "" is none.
struct SecretSource {
    bool may_be_literal = false;  // any other text is the value itself

    void read(const Node& node, Secret& into, ProblemList& problems) const;
    void check(const Secret&, const std::string&, Findings&) const {}
};

// A list of secrets, each of them from somewhere.
struct SecretList {
    void read(const Node& node, std::vector<Secret>& into, ProblemList& problems) const;
    void check(const std::vector<Secret>&, const std::string&, Findings&) const {}
};

// Text that keeps a rule.
struct Text {
    TextRule wrong_in;

    void read(const Node& node, std::string& into, ProblemList& problems) const;
    void check(const std::string& value, const std::string& key, Findings& findings) const;
};

// A list of texts, each of which keeps a rule.
struct TextList {
    TextRule wrong_in;
    std::size_t min_items;

    void read(const Node& node, std::vector<std::string>& into, ProblemList& problems) const;
    void check(const std::vector<std::string>& value, const std::string& key,
               Findings& findings) const;
};

// A list of listen addresses.
struct ListenList {
    std::size_t min_items;

    void read(const Node& node, std::vector<ListenAddress>& into, ProblemList& problems) const;
    void check(const std::vector<ListenAddress>& value, const std::string& key,
               Findings& findings) const;
};

// The position of `node`'s text among the names; a problem that lists them where it is none.
std::optional<std::size_t> read_choice(const Node& node, const std::vector<std::string_view>& names,
                                       ProblemList& problems);

// One of a few words, given in the order of the enumerators.
struct Choice {
    std::vector<std::string_view> names;

    template <class Enum>
    void read(const Node& node, Enum& into, ProblemList& problems) const {
        if (const auto index = read_choice(node, names, problems)) into = static_cast<Enum>(*index);
    }
    template <class Enum>
    void check(Enum, const std::string&, Findings&) const {}
};

}  // namespace tidepool::conf
