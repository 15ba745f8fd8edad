#include "proxy/edge/zone_secrets.h"

#include "proxy/edge/expression.h"

#include <algorithm>

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

constexpr char kPlaceMark = '\x01';

using FillPlace = std::function<std::string(std::string_view)>;

ZoneJson filled_json(const ZoneJson& json, const FillPlace& fill) {
    if (json.is_string()) return with_places_filled(json.get_ref<const std::string&>(), fill);
    if (!json.is_structured()) return json;
    ZoneJson made = json;
    for (auto& each : made)
        each = filled_json(each, fill);
    return made;
}

}  // namespace

std::string secret_place(std::string_view name) {
    return kPlaceMark + std::string(name) + kPlaceMark;
}

std::string with_places_filled(std::string_view text, const FillPlace& fill) {
    std::string filled;
    while (true) {
        const std::size_t begin = text.find(kPlaceMark);
        filled += text.substr(0, begin);
        if (begin == text.npos) return filled;
        const std::size_t end = text.find(kPlaceMark, begin + 1);
        if (end == text.npos) return filled;
        filled += fill(text.substr(begin + 1, end - begin - 1));
        text.remove_prefix(end + 1);
    }
}

ZoneJson rule_json(const ZoneRule& rule, const FillPlace& fill) {
    const auto fill_literal = [&fill](std::string_view name) {
        return escaped_in_literal(fill(name));
    };
    ZoneJson json{{"ref", rule.ref},
                  {"description", rule.name},
                  {"expression", with_places_filled(rule.expression, fill_literal)},
                  {"action", rule.action}};
    if (!rule.parameters.is_null()) json["action_parameters"] = filled_json(rule.parameters, fill);
    if (!rule.rate.is_null()) json["ratelimit"] = rule.rate;
    json["enabled"] = true;
    return json;
}

std::string placeholder_of(std::span<const ZoneSecret> secrets, std::string_view name) {
    const auto found = std::ranges::find(secrets, name, &ZoneSecret::name);
    if (found == secrets.end() || found->value.source().empty()) return fmt::format("<{}>", name);
    return fmt::format("<{}: {}>", name, found->value.source());
}

std::string value_of(std::span<const ZoneSecret> secrets, std::string_view name) {
    const auto found = std::ranges::find(secrets, name, &ZoneSecret::name);
    return found == secrets.end() ? "" : found->value.reveal();
}

}  // namespace tidepool::edge
