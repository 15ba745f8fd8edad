#include "conf/host_pattern.h"

#include "conf/ascii.h"
#include "conf/quote.h"

#include <algorithm>
#include <optional>

namespace tidepool::conf {

namespace {

// RFC 1035, 2.3.4.
constexpr std::size_t kMostHostBytes = 253;
constexpr std::size_t kMostLabelBytes = 63;

std::string_view without_root(std::string_view host) {
    if (host.ends_with('.')) host.remove_suffix(1);
    return host;
}

// "_" is in no host's name by the letter, and in many by custom.
bool is_label_character(char c) {
    const char low = lower_case(c);
    return is_digit(c) || (low >= 'a' && low <= 'z') || c == '-' || c == '_';
}

// Of a name without its star and its root.
std::string wrong_in_labels(std::string_view text, std::string_view name) {
    if (name.empty() || name.size() > kMostHostBytes)
        return "expected a name of 1 to 253 characters, not " + quote(text);
    while (true) {
        const std::size_t dot = std::min(name.find('.'), name.size());
        const std::string_view label = name.substr(0, dot);
        if (label.empty() || label.size() > kMostLabelBytes)
            return quote(text) + " has a part between dots that is empty or above 63 characters";
        if (!std::ranges::all_of(label, is_label_character)) {
            return quote(text) +
                   " holds a character that no host's name has: other alphabets are written as "
                   "\"xn--...\"";
        }
        if (dot == name.size()) return {};
        name.remove_prefix(dot + 1);
    }
}

// The address in "[...]" where that is all of `host`.
std::optional<IpAddress> bracketed_address(std::string_view host) {
    if (!host.starts_with('[') || !host.ends_with(']')) return std::nullopt;
    const std::string_view inside = host.substr(1, host.size() - 2);
    if (inside.find(':') == inside.npos) return std::nullopt;
    return IpAddress::parse(inside);
}

bool equal_to_lower(std::string_view text, std::string_view lower) {
    return std::ranges::equal(text, lower, {}, [](char c) { return lower_case(c); });
}

bool has_labels_only(std::string_view front) {
    return !front.empty() && front.front() != '.' && front.back() != '.' &&
           front.find("..") == front.npos;
}

bool is_below(std::string_view host, std::string_view parent) {
    if (host.size() <= parent.size()) return false;
    const std::size_t front = host.size() - parent.size();
    return equal_to_lower(host.substr(front), parent) && has_labels_only(host.substr(0, front));
}

}  // namespace

std::string wrong_in_host_pattern(std::string_view text) {
    if (text.find("://") != text.npos) return quote(text) + " is more than a host: no scheme";
    if (text.find('/') != text.npos) return quote(text) + " is more than a host: no path";
    if (bracketed_address(text)) return {};
    if (text.find(':') != text.npos) {
        if (IpAddress::parse(text))
            return "an address of IPv6 stands in brackets: write " +
                   quote("[" + std::string(text) + "]");
        return quote(text) + " is more than a host: no port";
    }
    std::string_view name = text;
    if (name.starts_with("*.")) name.remove_prefix(2);
    if (name.find('*') != name.npos)
        return quote(text) + ": a star is the first part of a name, as in \"*.example.com\"";
    return wrong_in_labels(text, without_root(name));
}

std::string_view host_of_authority(std::string_view authority) {
    if (authority.find('@') != authority.npos) return {};
    // The colons of an address are in its brackets.
    const std::size_t end = authority.starts_with('[') ? authority.find(']') : 0;
    if (end == authority.npos) return {};
    const std::size_t colon = authority.find(':', end);
    if (colon != authority.npos && !std::ranges::all_of(authority.substr(colon + 1), is_digit)) {
        return {};
    }
    return without_root(authority.substr(0, colon));
}

std::vector<std::string> zone_names(const std::vector<std::string>& entries) {
    std::vector<std::string> names;
    for (const std::string& entry : entries) {
        const std::string_view name = without_root(entry);
        const bool is_address =
            name.starts_with('[') || name.find_first_not_of("0123456789.") == name.npos;
        if (is_address || name.starts_with('*') || name.find('.') == name.npos) continue;
        names.push_back(lower_case(name));
    }
    return names;
}

HostPatterns::HostPatterns(const std::vector<std::string>& entries) {
    for (const std::string& entry : entries) {
        const std::string lowered = lower_case(without_root(entry));
        if (const auto address = bracketed_address(lowered)) {
            addresses_.push_back(*address);
        } else if (lowered.starts_with('*')) {
            parents_.push_back(lowered.substr(1));
        } else {
            names_.push_back(lowered);
        }
    }
}

bool HostPatterns::match(std::string_view host) const {
    const auto is_it = [&](const std::string& name) { return equal_to_lower(host, name); };
    const auto is_above = [&](const std::string& parent) { return is_below(host, parent); };
    if (std::ranges::any_of(names_, is_it) || std::ranges::any_of(parents_, is_above)) return true;
    if (addresses_.empty()) return false;
    const auto address = bracketed_address(host);
    return address && std::ranges::find(addresses_, *address) != addresses_.end();
}

}  // namespace tidepool::conf
