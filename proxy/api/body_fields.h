// The fields of a JSON body, read one by one; what is wrong with any of them is answered at once.
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/api/pool_json.h"

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::api {

// 422 "invalid_fields", with what is wrong by field.
ApiAnswer refused_fields(const std::vector<FieldProblem>& problems);

// A body that is a JSON object, without what lies deeper in it than fields ever do; 400 where it is
// none.
std::expected<Json, ApiAnswer> parse_object(std::string_view body);

class BodyFields {
  public:
    // 400 where the body is no JSON object. An empty body is an object without fields.
    static std::expected<BodyFields, ApiAnswer> parse(std::string_view body);

    // A field that is not there, or null, is nothing. Of a wrong type it is a problem, and nothing.
    std::optional<std::string> text(const char* name);
    // A text, or a whole number that is written as one.
    std::optional<std::string> text_or_number(const char* name);
    std::optional<std::int64_t> number(const char* name);
    std::optional<bool> flag(const char* name);
    std::optional<std::vector<std::string>> texts(const char* name);
    void complain(std::string field, std::string message);

    // To be called after all fields were read: those that nobody asked for are problems, too.
    std::optional<ApiAnswer> problems();

  private:
    explicit BodyFields(Json json) : json_(std::move(json)) {}
    const Json* find(const char* name);

    Json json_;
    std::vector<std::string> asked_;
    std::vector<FieldProblem> problems_;
};

}  // namespace tidepool::api
