#include "proxy/api/body_fields.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tidepool::api {

namespace {

constexpr int kMostFieldDepth = 4;

}  // namespace

ApiAnswer refused_fields(const std::vector<FieldProblem>& problems) {
    Json json{{"error", "invalid_fields"}, {"message", "some fields are wrong"}};
    for (const FieldProblem& problem : problems)
        json["details"].push_back({{"field", problem.field}, {"message", problem.message}});
    return {.status = 422, .body = text_of(json), .fields = {}};
}

std::expected<Json, ApiAnswer> parse_object(std::string_view body) {
    const auto is_shallow = [](int depth, Json::parse_event_t, Json&) {
        return depth <= kMostFieldDepth;
    };
    Json json = Json::parse(body, is_shallow, false);
    if (!json.is_object())
        return std::unexpected(api_error(400, "bad_request", "the body is not a JSON object"));
    return json;
}

std::expected<BodyFields, ApiAnswer> BodyFields::parse(std::string_view body) {
    if (body.empty()) return BodyFields(Json::object());
    auto json = parse_object(body);
    if (!json) return std::unexpected(std::move(json.error()));
    return BodyFields(std::move(*json));
}

const Json* BodyFields::find(const char* name) {
    asked_.emplace_back(name);
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> BodyFields::text(const char* name) {
    const Json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) return value->get<std::string>();
    complain(name, "expected a text");
    return std::nullopt;
}

std::optional<std::string> BodyFields::text_or_number(const char* name) {
    const Json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) return value->get<std::string>();
    if (value->is_number_unsigned()) return fmt::format("{}B", value->get<std::uint64_t>());
    complain(name, "expected a size like \"5GiB\", or a number of bytes");
    return std::nullopt;
}

std::optional<std::int64_t> BodyFields::number(const char* name) {
    const Json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    const bool fits = value->is_number_integer() &&
                      (!value->is_number_unsigned() || value->get<std::uint64_t>() <= INT64_MAX);
    if (fits) return value->get<std::int64_t>();
    complain(name, "expected a whole number");
    return std::nullopt;
}

std::optional<bool> BodyFields::flag(const char* name) {
    const Json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_boolean()) return value->get<bool>();
    complain(name, "expected true or false");
    return std::nullopt;
}

std::optional<std::vector<std::string>> BodyFields::texts(const char* name) {
    const Json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    std::vector<std::string> texts;
    for (const Json& each : value->is_array() ? *value : Json::array({nullptr})) {
        if (!each.is_string()) {
            complain(name, "expected a list of texts");
            return std::nullopt;
        }
        texts.push_back(each.get<std::string>());
    }
    return texts;
}

void BodyFields::complain(std::string field, std::string message) {
    problems_.push_back({std::move(field), std::move(message)});
}

std::optional<ApiAnswer> BodyFields::problems() {
    for (const auto& [name, value] : json_.items()) {
        if (std::ranges::find(asked_, name) == asked_.end())
            complain(name,
                     fmt::format("there is no such field; there are {}", fmt::join(asked_, ", ")));
    }
    if (problems_.empty()) return std::nullopt;
    return refused_fields(problems_);
}

}  // namespace tidepool::api
