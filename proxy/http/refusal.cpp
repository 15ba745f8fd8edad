#include "proxy/http/refusal.h"

#include <array>

namespace tidepool::http {

namespace {

struct Entry {
    std::string_view name;
    int status;
};

constexpr std::array<Entry, kRefusals> kTable{{
    {"bare_line_feed", 400},
    {"bad_request_line", 400},
    {"bad_version", 505},
    {"bad_target", 400},
    {"bad_field_name", 400},
    {"bad_field_value", 400},
    {"folded_field", 400},
    {"bad_host", 400},
    {"two_content_lengths", 400},
    {"bad_content_length", 400},
    {"length_with_transfer_encoding", 400},
    {"bad_transfer_encoding", 400},
    {"bad_chunk", 400},
    {"body_not_allowed", 400},
    {"body_too_large", 413},
    {"request_line_too_long", 414},
    {"headers_too_large", 431},
    {"too_many_fields", 431},
    {"expectation", 417},
    {"header_timeout", 408},
    {"body_timeout", 408},
    {"too_many_connections", 503},
    {"too_many_connections_of_peer", 429},
    {"too_many_answers", 503},
    {"locked_out", 403},
}};

}  // namespace

std::string_view name(Refusal refusal) {
    return kTable[static_cast<std::size_t>(refusal)].name;
}
int status_of(Refusal refusal) {
    return kTable[static_cast<std::size_t>(refusal)].status;
}

}  // namespace tidepool::http
