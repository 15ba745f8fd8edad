#include "conf/value_kinds.h"

#include "conf/quote.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace tidepool::conf {

namespace {

constexpr unsigned kMostMode = 0777;

// The text of a node, or nothing and a problem.
const std::string* read_text(const Node& node, std::string_view expected, ProblemList& problems) {
    if (node.kind == Node::Kind::text) return &node.text;
    add_unexpected(node, expected, problems);
    return nullptr;
}

// The texts of a list; elements of another type are problems and stay out.
template <class Take>
void read_texts(const Node& node, std::string_view expected_list, std::string_view expected_item,
                ProblemList& problems, Take take) {
    if (node.kind != Node::Kind::list) return add_unexpected(node, expected_list, problems);
    for (const Node& item : node.items) {
        if (const std::string* text = read_text(item, expected_item, problems)) take(item, *text);
    }
}

std::string element(const std::string& key, std::size_t index) {
    return fmt::format("{}[{}]", key, index + 1);
}

std::string mode_text(unsigned mode) {
    return fmt::format("\"{:04o}\"", mode);
}

}  // namespace

void add_unexpected(const Node& node, std::string_view expected, ProblemList& problems) {
    problems.add(node.place, node.path, fmt::format("expected {}, not {}", expected, node.shown()));
}

std::string Count::expected() const {
    return fmt::format("a whole number from {} to {}", min, max);
}

std::optional<std::int64_t> Count::read_number(const Node& node, ProblemList& problems) const {
    if (node.kind == Node::Kind::integer && node.integer >= min && node.integer <= max)
        return node.integer;
    add_unexpected(node, expected(), problems);
    return {};
}

void Count::check(std::int64_t value, const std::string& key, Findings& findings) const {
    if (value >= min && value <= max) return;
    findings.push_back({{key}, fmt::format("expected {}, not {}", expected(), value)});
}

void Size::read(const Node& node, std::uint64_t& into, ProblemList& problems) const {
    if (node.kind == Node::Kind::integer && node.integer >= 0) {
        const std::string with_unit = format_size(static_cast<std::uint64_t>(node.integer));
        return problems.add(node.place, node.path,
                            fmt::format("a size is text with a unit: write \"{}\"", with_unit));
    }
    const std::string* text = read_text(node, "a size such as \"64KiB\"", problems);
    if (!text) return;
    const auto size = parse_size(*text);
    if (!size) return problems.add(node.place, node.path, size.error().text);
    into = *size;
}

void Size::check(std::uint64_t value, const std::string& key, Findings& findings) const {
    if (value >= min && value <= max) return;
    findings.push_back({{key},
                        fmt::format("expected a size from {} to {}, not {}", format_size(min),
                                    format_size(max), format_size(value))});
}

void Duration::read(const Node& node, std::chrono::milliseconds& into,
                    ProblemList& problems) const {
    if (node.kind == Node::Kind::integer && node.integer >= 0) {
        return problems.add(
            node.place, node.path,
            fmt::format("a duration is text with a unit (ms, s, m, h, d): write \"{}s\"",
                        node.integer));
    }
    const std::string* text = read_text(node, "a duration such as \"2s\"", problems);
    if (!text) return;
    const auto duration = parse_duration(*text);
    if (!duration) return problems.add(node.place, node.path, duration.error().text);
    into = *duration;
}

void Duration::check(std::chrono::milliseconds value, const std::string& key,
                     Findings& findings) const {
    if (value >= min && value <= max) return;
    findings.push_back(
        {{key},
         fmt::format("expected a duration from {} to {}, not {}", format_duration(min),
                     format_duration(max), format_duration(value))});
}

void FileMode::read(const Node& node, unsigned& into, ProblemList& problems) const {
    constexpr std::string_view kExpected =
        "permissions as octal text from \"0000\" to \"0777\", such as \"0660\"";
    const std::string* text = read_text(node, kExpected, problems);
    if (!text) return;
    unsigned mode = 0;
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, mode, 8);
    const bool has_right_length = text->size() == 3 || text->size() == 4;
    if (!has_right_length || error != std::errc() || stop != end || mode > kMostMode) {
        return add_unexpected(node, kExpected, problems);
    }
    into = mode;
}

void FileMode::check(unsigned value, const std::string& key, Findings& findings) const {
    if (value <= kMostMode) return;
    findings.push_back(
        {{key}, "expected permissions from \"0000\" to \"0777\", not " + mode_text(value)});
}

void Flag::read(const Node& node, bool& into, ProblemList& problems) const {
    if (node.kind != Node::Kind::boolean) return add_unexpected(node, "true or false", problems);
    into = node.boolean;
}

void SecretSource::read(const Node& node, Secret& into, ProblemList& problems) const {
    constexpr std::string_view kExpected = "\"env:NAME\" or \"file:/PATH\"";
    // Whatever stands there may be the secret itself, so it is never repeated.
    if (node.kind != Node::Kind::text)
        return problems.add(node.place, node.path, fmt::format("expected {}", kExpected));
    if (node.text.empty()) return;
    const bool is_source = node.text.starts_with("env:") || node.text.starts_with("file:");
    if (may_be_literal && !is_source) {
        into = Secret("", node.text);
        return;
    }
    auto secret = read_secret(node.text);
    if (!secret) return problems.add(node.place, node.path, secret.error().text);
    into = std::move(*secret);
}

void SecretList::read(const Node& node, std::vector<Secret>& into, ProblemList& problems) const {
    // As with one: whatever stands there may be a secret.
    if (node.kind != Node::Kind::list)
        return problems.add(node.place, node.path,
                            "expected a list of \"env:NAME\" or \"file:/PATH\"");
    into.clear();
    for (const Node& item : node.items) {
        Secret secret;
        SecretSource{}.read(item, secret, problems);
        into.push_back(std::move(secret));
    }
}

void Text::read(const Node& node, std::string& into, ProblemList& problems) const {
    if (const std::string* text = read_text(node, "a text", problems)) into = *text;
}

void Text::check(const std::string& value, const std::string& key, Findings& findings) const {
    if (std::string wrong = wrong_in(value); !wrong.empty())
        findings.push_back({{key}, std::move(wrong)});
}

void TextList::read(const Node& node, std::vector<std::string>& into, ProblemList& problems) const {
    into.clear();
    read_texts(node, "a list of texts", "a text", problems,
               [&into](const Node&, const std::string& text) { into.push_back(text); });
}

void TextList::check(const std::vector<std::string>& value, const std::string& key,
                     Findings& findings) const {
    if (value.size() < min_items) findings.push_back({{key}, "the list is empty"});
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (std::string wrong = wrong_in(value[i]); !wrong.empty()) {
            findings.push_back({{element(key, i)}, std::move(wrong)});
        }
    }
}

void ListenList::read(const Node& node, std::vector<ListenAddress>& into,
                      ProblemList& problems) const {
    into.clear();
    read_texts(node, "a list such as [\"0.0.0.0:8080\"]", "an address such as \"0.0.0.0:8080\"",
               problems, [&into, &problems](const Node& item, const std::string& text) {
                   const auto address = parse_listen_address(text);
                   if (!address) return problems.add(item.place, item.path, address.error().text);
                   into.push_back(*address);
               });
}

void ListenList::check(const std::vector<ListenAddress>& value, const std::string& key,
                       Findings& findings) const {
    if (value.size() < min_items) {
        findings.push_back(
            {{key}, "the list is empty: the server needs an address such as \"0.0.0.0:8080\""});
    }
    for (std::size_t i = 0; i < value.size(); ++i) {
        const auto again = parse_listen_address(value[i].text());
        if (!again) findings.push_back({{element(key, i)}, again.error().text});
    }
}

std::optional<std::size_t> read_choice(const Node& node, const std::vector<std::string_view>& names,
                                       ProblemList& problems) {
    std::string expected;
    for (const std::string_view name : names)
        expected += (expected.empty() ? "" : " or ") + quote(name);
    const std::string* text = read_text(node, expected, problems);
    if (!text) return {};
    const auto found = std::ranges::find(names, *text);
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    add_unexpected(node, expected, problems);
    return {};
}

}  // namespace tidepool::conf
