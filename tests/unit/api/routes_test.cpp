#include "proxy/api/routes.h"

#include "proxy/api/openapi.h"
#include "proxy/api/pool_json.h"

#include <cctype>
#include <set>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

using namespace tidepool::api;

namespace {

using Calls = std::set<std::pair<std::string, std::string>>;  // path and method

// HEAD goes without saying where there is GET.
Calls served() {
    Calls calls;
    for (const Route& route : routes()) {
        for (const char* const method : {"GET", "POST", "PATCH", "PUT", "DELETE"}) {
            if (has_method(route, method)) calls.emplace(route.path, method);
        }
        CHECK(has_method(route, "HEAD") == has_method(route, "GET"));
    }
    return calls;
}

Calls described(const Json& document) {
    Calls calls;
    for (const auto& [path, methods] : document["paths"].items()) {
        for (const auto& [method, what] : methods.items()) {
            if (method == "parameters") continue;
            std::string name;
            for (const char c : method)
                name += static_cast<char>(std::toupper(c));
            calls.emplace(path, name);
        }
    }
    return calls;
}

void check_references(const Json& document, const Json& part) {
    if (part.is_object() && part.contains("$ref")) {
        const std::string where = part["$ref"].get<std::string>();
        INFO(where);
        REQUIRE(where.starts_with("#/"));
        CHECK(document.contains(Json::json_pointer(where.substr(1))));
    }
    if (!part.is_structured()) return;
    for (const Json& each : part)
        check_references(document, each);
}

}  // namespace

TEST_CASE("routes: a path is found by its segments", "[api][routes]") {
    CHECK(find_route("/api/admin/v1/pools")->path == "/pools");
    CHECK(find_route("/api/admin/v1/pools/hot")->path == "/pools/{name}");
    CHECK(find_route("/api/admin/v1/jobs/7/retry")->path == "/jobs/{id}/retry");
    for (const char* const path :
         {"/", "/api/admin/v1", "/api/admin/v1/", "/api/admin/v1/pools/", "/api/admin/v1/poolsx",
          "/api/admin/v1/pools/hot/more", "/api/admin/v1/jobs/7/", "/api/admin/v1/jobs//retry",
          "/api/admin/v2/pools", "/api/admin/v1pools", "/api/admin/v1/jobs/7/start"}) {
        INFO(path);
        CHECK(find_route(path) == nullptr);
    }
}

TEST_CASE("routes: a method is one of those that Allow names", "[api][routes]") {
    const Route& pools = *find_route("/api/admin/v1/pools");
    CHECK(has_method(pools, "GET"));
    CHECK(has_method(pools, "POST"));
    for (const char* const method : {"", "DELETE", "get", "GE", "GET, HEAD", "OST"}) {
        INFO(method);
        CHECK_FALSE(has_method(pools, method));
    }
}

TEST_CASE("routes: the OpenAPI document describes what is served, and nothing else",
          "[api][routes]") {
    const Json document = Json::parse(openapi_document());
    CHECK(document["openapi"] == "3.1.0");
    CHECK(served() == described(document));
}

TEST_CASE("routes: every reference of the OpenAPI document leads somewhere", "[api][routes]") {
    const Json document = Json::parse(openapi_document());
    check_references(document, document);
}
