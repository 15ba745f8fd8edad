#include "proxy/api/keys_api.h"

#include "conf/digest.h"
#include "proxy/api/api_key.h"
#include "proxy/api/body_fields.h"
#include "proxy/api/query_fields.h"

#include <algorithm>
#include <ctime>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

constexpr std::string_view kKeysCursor = "keys";

std::string place_text(const storage::KeyRecord& key) {
    return fmt::format("{}.{}", key.created_s, conf::hex(key.hash));
}

// What place_text() gave; nothing for anything else.
std::optional<storage::KeyFilter::Place> parse_place(std::string_view text) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    const auto created_s = read_number(text.substr(0, dot));
    const auto hash = conf::parse_sha256(text.substr(std::min(dot + 1, text.size())));
    if (!created_s || !hash) return std::nullopt;
    return storage::KeyFilter::Place{.created_s = *created_s, .hash = *hash};
}

ApiAnswer list_of_keys(storage::Catalog& catalog, const ApiCall& call) {
    if (auto wrong = check_fields(call.query, {"owner", "cursor", "limit"}))
        return std::move(*wrong);
    storage::KeyFilter filter{.owner = query_value(call.query, "owner")};
    const auto limit = read_page_limit(call.query);
    if (!limit) return limit.error();
    const auto cursor = read_cursor(call.query, kKeysCursor);
    if (!cursor) return cursor.error();
    if (*cursor) {
        filter.after = parse_place(**cursor);
        if (!filter.after) return bad_field("cursor", "it is none of keys");
    }
    // One more than asked for says whether there is another page.
    auto keys = catalog.list_keys(filter, *limit + 1);
    if (!keys) return api_error(keys.error());
    const bool is_last = keys->size() <= *limit;
    if (!is_last) keys->pop_back();
    Json all = Json::array();
    for (const storage::KeyRecord& key : *keys)
        all.push_back(key_json(key));
    const Json next =
        is_last ? Json(nullptr) : Json(cursor_of(kKeysCursor, place_text(keys->back())));
    return {
        .status = 200, .body = text_of({{"keys", std::move(all)}, {"next", next}}), .fields = {}};
}

ApiAnswer new_key(storage::Catalog& catalog, std::string_view body) {
    auto fields = BodyFields::parse(body);
    if (!fields) return std::move(fields.error());
    const KeyWish wish{.owner = fields->text("owner").value_or(""),
                       .name = fields->text("name").value_or(""),
                       .quota = fields->text_or_number("quota").value_or(""),
                       .max_size = fields->text_or_number("max_size").value_or(""),
                       .expires = fields->text("expires").value_or(""),
                       .per_minute = fields->number("rate")};
    if (auto wrong = fields->problems()) return std::move(*wrong);
    auto key = read_key_wish(wish, std::time(nullptr));
    if (!key) return refused_fields({key.error()});
    const auto text = make_key(catalog, *key);
    if (!text) return api_error(text.error());
    Json json{{"key", *text}};
    json.update(key_json(*key));
    return {.status = 201, .body = text_of(json), .fields = {}};
}

}  // namespace

ApiAnswer answer_keys(storage::Catalog& catalog, const ApiCall& call) {
    if (call.path == kKeysPath)
        return call.method == "POST" ? new_key(catalog, call.body) : list_of_keys(catalog, call);
    const auto revoked =
        revoke_key(catalog, call.path.substr(kKeysPath.size() + 1), std::time(nullptr));
    if (!revoked) return api_error(revoked.error());
    return {.status = 204, .body = {}, .fields = {}};
}

}  // namespace tidepool::api
