#include "proxy/api/api_answer.h"

#include "conf/error.h"
#include "conf/hex_digit.h"
#include "proxy/api/pool_json.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

std::string decoded(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = text[i] == '%' ? conf::escaped_byte(text.substr(i)) : std::nullopt;
        if (byte) {
            result.push_back(static_cast<char>(*byte));
            i += 2;
        } else {
            result.push_back(text[i] == '+' ? ' ' : text[i]);
        }
    }
    return result;
}

}  // namespace

ApiAnswer api_error(int status, std::string_view code, std::string_view message,
                    std::string fields) {
    return {.status = status,
            .body = text_of(Json{{"error", code}, {"message", message}}),
            .fields = std::move(fields)};
}

ApiAnswer api_error(const Error& error) {
    switch (error.kind) {
        case ErrorKind::not_found:
            return api_error(404, "not_found", error.text);
        case ErrorKind::conflict:
            return api_error(409, "conflict", error.text);
        case ErrorKind::invalid:
            return api_error(400, "bad_request", error.text);
        default:
            return api_error(503, "service_unavailable", error.text, "Retry-After: 1\r\n");
    }
}

ApiAnswer refused_request(http::Refusal refusal) {
    const int status = http::status_of(refusal);
    if (status == 408) return api_error(status, "request_timeout", "the body came too slowly");
    if (status == 413)
        return api_error(status, "payload_too_large", "the body is larger than it may be");
    if (status == 400)
        return api_error(status, "bad_request",
                         fmt::format("the request cannot be read: {}", http::name(refusal)));
    return api_error(status, http::name(refusal), "the request was turned away");
}

ApiAnswer method_not_allowed(std::string_view allowed) {
    return api_error(405, "method_not_allowed", fmt::format("there are {} here", allowed),
                     fmt::format("Allow: {}\r\n", allowed));
}

http::Response response_of(const ApiAnswer& answer, std::string_view fields) {
    const std::string lines = fmt::format("{}{}", fields, answer.fields);
    http::Response response;
    if (answer.status == 204) {
        response.status = 204;
        response.has_body = false;
        response.head = fmt::format("HTTP/1.1 {}\r\n{}", http::status_line_text(204), lines);
    } else {
        response = http::text_response(answer.status, "application/json", answer.body, lines);
    }
    response.source = http::Source::internal;
    return response;
}

std::string query_value(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const std::string_view field = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(field.size() + 1, query.size()));
        const std::size_t equals = std::min(field.find('='), field.size());
        if (field.substr(0, equals) == name)
            return decoded(field.substr(std::min(equals + 1, field.size())));
    }
    return "";
}

}  // namespace tidepool::api
