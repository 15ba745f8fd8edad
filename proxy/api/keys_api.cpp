#include "proxy/api/keys_api.h"

#include "proxy/api/api_key.h"
#include "proxy/api/body_fields.h"
#include "proxy/api/query_fields.h"

#include <ctime>
#include <utility>

namespace tidepool::api {

namespace {

ApiAnswer list_of_keys(storage::Catalog& catalog, const ApiCall& call) {
    if (auto wrong = check_fields(call.query, {"owner"})) return std::move(*wrong);
    const auto keys = catalog.list_keys(query_value(call.query, "owner"));
    if (!keys) return api_error(keys.error());
    Json all = Json::array();
    for (const storage::KeyRecord& key : *keys)
        all.push_back(key_json(key));
    return {.status = 200, .body = text_of({{"keys", std::move(all)}}), .fields = {}};
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
