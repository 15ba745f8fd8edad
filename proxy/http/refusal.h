// Why a request or connection was turned away before its handler saw it: one name for the log and
// the metrics, one status for the client.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tidepool::http {

enum class Refusal : std::uint8_t {
    bare_line_feed,
    bad_request_line,
    bad_version,
    bad_target,
    bad_field_name,
    bad_field_value,
    folded_field,
    bad_host,
    two_content_lengths,
    bad_content_length,
    length_with_transfer_encoding,
    bad_transfer_encoding,
    bad_chunk,
    body_not_allowed,
    body_too_large,
    request_line_too_long,
    headers_too_large,
    too_many_fields,
    expectation,
    header_timeout,
    body_timeout,
    too_many_connections,
    too_many_connections_of_peer,
    too_many_answers,
    locked_out,
};
inline constexpr std::size_t kRefusals = static_cast<std::size_t>(Refusal::locked_out) + 1;

// The metric's label: the enumerator's own name.
std::string_view name(Refusal refusal);
// The answer's status code. All of them close the connection.
int status_of(Refusal refusal);

}  // namespace tidepool::http
