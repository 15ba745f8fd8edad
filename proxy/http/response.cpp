#include "proxy/http/response.h"

#include <array>

#include <fmt/format.h>

namespace tidepool::http {

std::string_view name(Source source) {
    static constexpr std::array<std::string_view, kSources> kNames{
        "none", "memory", "file", "disk", "shelf", "origin", "absent", "internal"};
    return kNames[static_cast<std::size_t>(source)];
}

std::string status_line_text(int status) {
    switch (status) {
        case 200:
            return "200 OK";
        case 201:
            return "201 Created";
        case 204:
            return "204 No Content";
        case 206:
            return "206 Partial Content";
        case 302:
            return "302 Found";
        case 304:
            return "304 Not Modified";
        case 400:
            return "400 Bad Request";
        case 401:
            return "401 Unauthorized";
        case 403:
            return "403 Forbidden";
        case 404:
            return "404 Not Found";
        case 405:
            return "405 Method Not Allowed";
        case 408:
            return "408 Request Timeout";
        case 409:
            return "409 Conflict";
        case 410:
            return "410 Gone";
        case 412:
            return "412 Precondition Failed";
        case 413:
            return "413 Content Too Large";
        case 414:
            return "414 URI Too Long";
        case 416:
            return "416 Range Not Satisfiable";
        case 417:
            return "417 Expectation Failed";
        case 415:
            return "415 Unsupported Media Type";
        case 422:
            return "422 Unprocessable Content";
        case 423:
            return "423 Locked";
        case 429:
            return "429 Too Many Requests";
        case 431:
            return "431 Request Header Fields Too Large";
        case 460:
            return "460 Checksum Mismatch";  // of tus 1.0
        case 500:
            return "500 Internal Server Error";
        case 502:
            return "502 Bad Gateway";
        case 503:
            return "503 Service Unavailable";
        case 504:
            return "504 Gateway Timeout";
        case 505:
            return "505 HTTP Version Not Supported";
        case 507:
            return "507 Insufficient Storage";
        case 508:
            return "508 Loop Detected";
        default:
            return fmt::format("{} ", status);
    }
}

Response text_response(int status, std::string_view content_type, std::string_view text,
                       std::string_view fields) {
    Response response;
    response.status = status;
    response.head = fmt::format(
        "HTTP/1.1 {}\r\n{}Content-Type: {}\r\nX-Content-Type-Options: nosniff\r\nContent-Length: "
        "{}\r\n",
        status_line_text(status), fields, content_type, text.size());
    response.body_bytes = text.size();
    response.parts.emplace_back(std::string(text));
    return response;
}

}  // namespace tidepool::http
