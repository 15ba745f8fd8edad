#include "proxy/edge/directive_list.h"

#include "conf/ascii.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tidepool::edge {

namespace {

constexpr std::int64_t kMostSeconds = std::int64_t{1} << 31;
constexpr std::array<std::string_view, 4> kWithSeconds{"max-age", "s-maxage",
                                                       "stale-while-revalidate", "stale-if-error"};

// Where the first item ends: at a comma that is not inside quotes.
std::size_t end_of_item(std::string_view text) {
    bool is_quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '"') is_quoted = !is_quoted;
        if (text[i] == ',' && !is_quoted) return i;
    }
    return text.size();
}

std::string_view without_quotes(std::string_view text) {
    if (text.starts_with('"')) text.remove_prefix(1);
    if (text.ends_with('"')) text.remove_suffix(1);
    return text;
}

std::optional<std::int64_t> read_seconds(std::string_view text) {
    if (text.empty()) return {};
    std::int64_t seconds = 0;
    for (const char c : text) {
        if (!conf::is_digit(c)) return {};
        seconds = std::min(seconds * 10 + (c - '0'), kMostSeconds);
    }
    return seconds;
}

}  // namespace

DirectiveList DirectiveList::parse(std::string_view value) {
    DirectiveList list;
    while (!value.empty()) {
        const std::size_t end = end_of_item(value);
        const std::string_view item = conf::trim(value.substr(0, end));
        value.remove_prefix(std::min(end + 1, value.size()));
        const std::size_t equals = item.find('=');
        std::string name = conf::lower_case(conf::trim(item.substr(0, equals)));
        if (name.empty() || list.has(name)) continue;
        const std::string_view told = equals == item.npos ? "" : item.substr(equals + 1);
        list.all_.push_back({std::move(name), std::string(without_quotes(conf::trim(told)))});
    }
    return list;
}

const DirectiveList::Directive* DirectiveList::find(std::string_view name) const {
    const auto found = std::ranges::find(all_, name, &Directive::name);
    return found == all_.end() ? nullptr : &*found;
}

bool DirectiveList::has(std::string_view name) const {
    return find(name) != nullptr;
}

bool DirectiveList::is_bare(std::string_view name) const {
    return has(name) && fields_of(name).empty();
}

std::vector<std::string> DirectiveList::fields_of(std::string_view name) const {
    std::vector<std::string> fields;
    const Directive* directive = find(name);
    std::string_view rest = directive == nullptr ? "" : std::string_view(directive->value);
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(','), rest.size());
        std::string field = conf::lower_case(conf::trim(rest.substr(0, end)));
        if (!field.empty()) fields.push_back(std::move(field));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return fields;
}

std::optional<std::int64_t> DirectiveList::seconds(std::string_view name) const {
    const Directive* directive = find(name);
    return directive == nullptr ? std::nullopt : read_seconds(directive->value);
}

std::vector<std::string> DirectiveList::unreadable() const {
    std::vector<std::string> names;
    for (const Directive& directive : all_) {
        const bool wants_seconds =
            std::ranges::find(kWithSeconds, directive.name) != kWithSeconds.end();
        if (wants_seconds && !read_seconds(directive.value)) names.push_back(directive.name);
    }
    return names;
}

}  // namespace tidepool::edge
