#include "proxy/serve/zone_call.h"

#include "conf/quote.h"
#include "proxy/http/date.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <initializer_list>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tidepool::serve {

namespace {

constexpr std::size_t kShownOfAnswer = 300;
constexpr std::int64_t kMostAskedWaitS = 24 * 3600;

// Errors of the API that have the status 400 and are not about what was to be purged: a token that
// is malformed or that it does not know, and a zone that it does not.
constexpr std::initializer_list<std::int64_t> kTokenCodes{6003, 6111, 9106, 9109, 10000};
constexpr std::initializer_list<std::int64_t> kZoneCodes{7000, 7003};

struct ZoneAnswer {
    bool is_envelope = false;
    bool success = false;
    std::vector<std::int64_t> codes;
    std::string text;  // "1012: Request must be for your zone"
};

ZoneAnswer parse_zone_answer(std::string_view body) {
    ZoneAnswer said;
    const auto json = nlohmann::json::parse(body, nullptr, false);
    said.is_envelope = json.is_object() && json.contains("success") && json["success"].is_boolean();
    if (!said.is_envelope) return said;
    said.success = json["success"].get<bool>();
    if (!json.contains("errors") || !json["errors"].is_array()) return said;
    for (const auto& each : json["errors"]) {
        if (!each.is_object()) continue;
        const auto code = each.find("code");
        const auto message = each.find("message");
        if (code != each.end() && code->is_number_integer())
            said.codes.push_back(code->get<std::int64_t>());
        if (!said.text.empty()) said.text += "; ";
        if (code != each.end() && code->is_number_integer())
            said.text += fmt::format("{}: ", code->get<std::int64_t>());
        if (message != each.end() && message->is_string()) said.text += message->get<std::string>();
    }
    return said;
}

bool has_code(const ZoneAnswer& said, std::initializer_list<std::int64_t> codes) {
    return std::ranges::any_of(said.codes, [&](std::int64_t code) {
        return std::find(codes.begin(), codes.end(), code) != codes.end();
    });
}

std::int64_t wait_asked_for(std::string_view text, std::int64_t now_s) {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size()) {
        const auto date = http::parse_date(text, now_s);
        seconds = date ? *date - now_s : 0;
    }
    return std::clamp<std::int64_t>(seconds, 0, kMostAskedWaitS);
}

}  // namespace

std::string name_of(const ZoneItem& item) {
    switch (item.kind) {
        case ZoneItem::Kind::url:
            return item.origin.empty() ? item.text : item.text + " for Origin " + item.origin;
        case ZoneItem::Kind::tag:
            return "tag " + item.text;
        case ZoneItem::Kind::prefix:
            return "prefix " + item.text;
        case ZoneItem::Kind::everything:
            break;
    }
    return "everything";
}

std::string purge_body(std::span<const ZoneItem> items) {
    auto named = nlohmann::ordered_json::array();
    for (const ZoneItem& item : items) {
        if (item.origin.empty()) {
            named.push_back(item.text);
        } else {
            named.push_back({{"url", item.text}, {"headers", {{"Origin", item.origin}}}});
        }
    }
    nlohmann::ordered_json body;
    switch (items.front().kind) {
        case ZoneItem::Kind::url:
            body["files"] = std::move(named);
            break;
        case ZoneItem::Kind::tag:
            body["tags"] = std::move(named);
            break;
        case ZoneItem::Kind::prefix:
            body["prefixes"] = std::move(named);
            break;
        case ZoneItem::Kind::everything:
            body["purge_everything"] = true;
            break;
    }
    return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::expected<void, ZoneFailure> read_zone_answer(int status, std::string_view body,
                                                  std::string_view retry_after, std::int64_t now_s,
                                                  const ZoneWords& words) {
    const ZoneAnswer said = parse_zone_answer(body);
    if (status == 200 && said.success) return {};
    std::string text = fmt::format("the edge's API answers {}", status);
    if (!said.text.empty()) {
        text += fmt::format(" ({})", conf::printable(said.text.substr(0, kShownOfAnswer)));
    } else if (!said.is_envelope) {
        text += ", and not in its own form";
    }
    StoreDetail detail;
    detail.status = status;
    detail.retry_after = std::chrono::seconds(wait_asked_for(retry_after, now_s));
    const auto failure = [&](ErrorKind kind, std::string_view advice, bool is_of_an_item = false) {
        return std::unexpected(
            ZoneFailure{Error{kind, text + std::string(advice),
                              std::make_shared<const StoreDetail>(std::move(detail))},
                        is_of_an_item});
    };
    // What is no answer of the API's comes from something on the way, which may be gone soon.
    const bool is_denied = said.is_envelope && (status == 401 || status == 403);
    if (is_denied || has_code(said, kTokenCodes)) return failure(ErrorKind::denied, words.denied);
    if ((said.is_envelope && status == 404) || has_code(said, kZoneCodes))
        return failure(ErrorKind::misconfigured, words.misconfigured);
    if (status == 429) return failure(ErrorKind::overloaded, "");
    const bool is_about_items = status == 400 || status == 413 || status == 422;
    if (is_about_items && said.is_envelope) return failure(ErrorKind::invalid, "", true);
    return failure(ErrorKind::io, "");
}

bool is_about_no_zone(std::string_view body) {
    const ZoneAnswer said = parse_zone_answer(body);
    return said.is_envelope && !said.success && !has_code(said, kZoneCodes) &&
           !has_code(said, kTokenCodes);
}

}  // namespace tidepool::serve
