// The description of the admin API for programs (OpenAPI 3.1).
#pragma once

#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kOpenApiPath = "/api/admin/v1/openapi.json";

// JSON; every path of routes() with its methods, and what is answered. What is changed there is to
// be changed here: the tests compare both, and every answer with its schema.
std::string_view openapi_document();

}  // namespace tidepool::api
