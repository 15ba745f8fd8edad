#include "proxy/edge/expression.h"

#include "conf/ascii.h"
#include "conf/url_path.h"

#include <fmt/format.h>

namespace tidepool::edge {

std::string escaped_in_literal(std::string_view text) {
    std::string escaped;
    for (const char c : text) {
        if (c == '"' || c == '\\') escaped += '\\';
        escaped += c;
    }
    return escaped;
}

std::string literal(std::string_view text) {
    return '"' + escaped_in_literal(text) + '"';
}

std::string any_condition(const std::vector<std::string>& parts) {
    if (parts.size() == 1) return parts.front();
    return parts.empty() ? "" : fmt::format("({})", fmt::join(parts, " or "));
}

std::string all_conditions(const std::vector<std::string>& parts) {
    std::string all;
    for (const std::string& part : parts) {
        if (part.empty()) continue;
        if (!all.empty()) all += " and ";
        all += part;
    }
    return all;
}

std::string host_condition(const std::vector<std::string>& hosts) {
    std::vector<std::string> names;
    std::vector<std::string> parts;
    for (const std::string& host : hosts) {
        const std::string lowered = conf::lower_case(host);
        lowered.starts_with("*.")
            ? parts.push_back(fmt::format("ends_with(http.host, {})", literal(lowered.substr(1))))
            : names.push_back(literal(lowered));
    }
    if (names.size() == 1) parts.insert(parts.begin(), "http.host eq " + names.front());
    if (names.size() > 1)
        parts.insert(parts.begin(), fmt::format("http.host in {{{}}}", fmt::join(names, " ")));
    return any_condition(parts);
}

std::string path_condition(const std::vector<std::string>& prefixes, std::string_view field) {
    std::vector<std::string> parts;
    for (const std::string& prefix : prefixes)
        parts.push_back(
            fmt::format("starts_with({}, {})", field, literal(conf::escaped_path(prefix))));
    return any_condition(parts);
}

std::string referer_condition(const std::vector<std::string>& hosts) {
    std::vector<std::string> parts;
    for (const std::string& host : hosts) {
        const std::string lowered = conf::lower_case(host);
        // "*" stands for slashes, too: what has the name behind one has it in its path.
        if (lowered.starts_with("*.")) {
            parts.push_back(fmt::format(
                R"((http.referer wildcard "http*://{0}/*" and not http.referer wildcard "*//*/{0}/*"))",
                lowered));
            continue;
        }
        for (const std::string_view scheme : {"https", "http"})
            parts.push_back(
                fmt::format(R"(starts_with(lower(http.referer), "{}://{}/"))", scheme, lowered));
    }
    return any_condition(parts);
}

}  // namespace tidepool::edge
