// What the parts of the admin API have in common.
#pragma once

#include "proxy/http/refusal.h"
#include "proxy/http/response.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tidepool {
struct Error;
}

namespace tidepool::api {

struct ApiAnswer {
    int status = 200;
    std::string body;      // JSON; "" for 204
    std::string fields;    // header lines with CRLF
    bool changed = false;  // pools are no longer what they were
};

// One call of the API.
struct ApiCall {
    std::string_view method;
    std::string_view path;
    std::string_view query;
    std::string_view body;
};

// {"error": CODE, "message": TEXT}, as all errors of the APIs are told (contracts: pixelfox.md).
ApiAnswer api_error(int status, std::string_view code, std::string_view message,
                    std::string fields = {});
// The same of what the catalog or a pool said.
ApiAnswer api_error(const Error& error);
// The same of a request that was turned away before it was looked at.
ApiAnswer refused_request(http::Refusal refusal);
// 405 with Allow.
ApiAnswer method_not_allowed(std::string_view allowed);

// As HTTP; `fields` are lines with CRLF that stand before the answer's own.
http::Response response_of(const ApiAnswer& answer, std::string_view fields);

// The value of a field of a query, decoded; "" where there is none.
std::string query_value(std::string_view query, std::string_view name);

}  // namespace tidepool::api
