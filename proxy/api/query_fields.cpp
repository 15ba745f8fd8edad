#include "proxy/api/query_fields.h"

#include "conf/digest.h"
#include "conf/quote.h"
#include "proxy/api/pool_json.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tidepool::api {

ApiAnswer bad_field(std::string_view field, std::string_view message) {
    const Json problem{{"field", field}, {"message", message}};
    return {.status = 400,
            .body = text_of(Json{{"error", "bad_request"},
                                 {"message", fmt::format("{}: {}", field, message)},
                                 {"details", Json::array({problem})}}),
            .fields = {}};
}

std::optional<ApiAnswer> check_fields(std::string_view query,
                                      std::initializer_list<std::string_view> known) {
    std::vector<std::string_view> seen;
    while (!query.empty()) {
        const std::string_view field = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(field.size() + 1, query.size()));
        const std::string_view name = field.substr(0, field.find('='));
        if (name.empty()) continue;
        if (std::ranges::find(known, name) == known.end()) {
            return bad_field(conf::printable(name),
                             known.size() == 0
                                 ? std::string("there are no fields here")
                                 : fmt::format("there are {}", fmt::join(known, ", ")));
        }
        if (std::ranges::find(seen, name) != seen.end()) return bad_field(name, "is there twice");
        seen.push_back(name);
    }
    return std::nullopt;
}

std::expected<std::size_t, ApiAnswer> read_page_limit(std::string_view query) {
    const std::string text = query_value(query, "limit");
    if (text.empty()) return kUsualPage;
    const auto limit = read_number(text);
    if (!limit || *limit < 1 || *limit > static_cast<std::int64_t>(kMostOnPage)) {
        return std::unexpected(
            bad_field("limit", fmt::format("expected a whole number, 1 to {}", kMostOnPage)));
    }
    return static_cast<std::size_t>(*limit);
}

std::string cursor_of(std::string_view list, std::string_view last) {
    const std::string text = fmt::format("{}:{}", list, last);
    return conf::base64url({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::expected<std::optional<std::string>, ApiAnswer> read_cursor(std::string_view query,
                                                                 std::string_view list) {
    const std::string text = query_value(query, "cursor");
    if (text.empty()) return std::nullopt;
    if (const auto bytes = conf::parse_base64url(text)) {
        const std::string known(bytes->begin(), bytes->end());
        const std::string start = fmt::format("{}:", list);
        if (known.starts_with(start)) return known.substr(start.size());
    }
    return std::unexpected(
        bad_field("cursor", "expected what \"next\" of the page before says, or none"));
}

std::optional<std::int64_t> read_number(std::string_view text) {
    std::int64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size() ||
        number < 0)
        return std::nullopt;
    return number;
}

}  // namespace tidepool::api
