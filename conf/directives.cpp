#include "conf/directives.h"

#include "conf/ascii.h"
#include "conf/nearest_name.h"
#include "conf/quote.h"
#include "conf/text_rules.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace tidepool::conf {

namespace {

struct Directive {
    std::string name;  // lower case
    std::string_view argument;
    bool has_argument = false;
};

// These take a number of seconds; RFC 9111 1.2.2 has caches understand up to 2^31.
constexpr std::array<std::string_view, 4> kNumeric{"max-age", "s-maxage", "stale-while-revalidate",
                                                   "stale-if-error"};
constexpr std::array<std::string_view, 8> kPlain{
    "public",          "no-store",         "immutable",       "no-transform",
    "must-revalidate", "proxy-revalidate", "must-understand", "only-if-cached"};
constexpr std::array<std::string_view, 2> kEither{"private", "no-cache"};
constexpr std::uint64_t kMostSeconds = 1ULL << 31;

bool contains(const auto& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

// The position of the comma that ends the first directive, which may not be one inside quotes.
std::size_t end_of_first(std::string_view text) {
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (quoted && text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            quoted = !quoted;
        } else if (text[i] == ',' && !quoted) {
            return i;
        }
    }
    return text.size();
}

Directive split(std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals == text.npos) return {lower_case(text), {}, false};
    return {lower_case(text.substr(0, equals)), text.substr(equals + 1), true};
}

std::vector<Directive> split_all(std::string_view value) {
    std::vector<Directive> directives;
    while (true) {
        const std::size_t end = end_of_first(value);
        directives.push_back(split(trim(value.substr(0, end))));
        if (end == value.size()) return directives;
        value.remove_prefix(end + 1);
    }
}

bool is_quoted_string(std::string_view text) {
    if (text.size() < 2 || text.front() != '"' || text.back() != '"') return false;
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
        if (text[i] == '"') return false;
        if (text[i] != '\\') continue;
        ++i;  // the character that it quotes, which may not be the closing quote
        if (i + 1 >= text.size()) return false;
    }
    return true;
}

bool is_seconds(std::string_view text) {
    if (text.empty() || text.size() > 10 || text.find_first_not_of("0123456789") != text.npos)
        return false;
    return std::stoull(std::string(text)) <= kMostSeconds;
}

std::string wrong_name(std::string_view name) {
    std::vector<std::string_view> known(kNumeric.begin(), kNumeric.end());
    known.insert(known.end(), kPlain.begin(), kPlain.end());
    known.insert(known.end(), kEither.begin(), kEither.end());
    if (contains(known, name)) return {};
    const auto nearest =
        std::ranges::min(known, {}, [name](auto each) { return edit_distance(name, each); });
    if (edit_distance(name, nearest) > 2) return {};
    return quote(name) + " is no directive, did you mean " + quote(nearest) + "?";
}

std::string wrong_in(const Directive& directive) {
    const auto& [name, argument, has_argument] = directive;
    if (name.empty() && !has_argument) return "a directive is missing beside a comma";
    if (!is_http_token(name)) return quote(name) + " is no directive: it is not one word";
    if (std::string wrong = wrong_name(name); !wrong.empty()) return wrong;
    if (contains(kNumeric, name) && !is_seconds(argument)) {
        return quote(name) + " takes a number of seconds up to 2147483648, such as \"" + name +
               "=300\"";
    }
    if (contains(kPlain, name) && has_argument) return quote(name) + " takes no value";
    if (has_argument && !is_http_token(argument) && !is_quoted_string(argument)) {
        return "the value of " + quote(name) + " is neither one word nor a text in double quotes";
    }
    return {};
}

}  // namespace

std::string wrong_in_directives(std::string_view value) {
    if (value.empty())
        return "is empty: write directives such as \"public, max-age=300\" or \"no-store\"";
    for (const Directive& directive : split_all(value)) {
        if (std::string wrong = wrong_in(directive); !wrong.empty()) return wrong;
    }
    return {};
}

bool has_directive(std::string_view value, std::string_view name) {
    return std::ranges::any_of(split_all(value),
                               [name](const Directive& each) { return each.name == name; });
}

}  // namespace tidepool::conf
