// Every path of the admin API, with its methods. What is not here is not answered; the OpenAPI
// document describes these and no others (tests/unit/api/routes_test.cpp). Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kApiRoot = "/api/admin/v1";

struct Route {
    std::string_view path;     // below kApiRoot; "{name}" stands for one segment
    std::string_view methods;  // as in Allow: "GET, HEAD, POST"
};

std::span<const Route> routes();

// Null where there is none.
const Route* find_route(std::string_view path);
bool has_method(const Route& route, std::string_view method);

// The collections, for people: "/api/admin/v1/pools, /api/admin/v1/images".
std::string route_names();

}  // namespace tidepool::api
