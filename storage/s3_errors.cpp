#include "storage/s3_errors.h"

#include "conf/quote.h"
#include "storage/s3_xml.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr std::size_t kMaxShownBytes = 200;  // of a store's own message

using enum ErrorKind;
using enum NextTry;

// What a code, or else a status, means. The first line that fits decides.
struct Meaning {
    int status;             // 0 = any
    std::string_view code;  // "" = any
    ErrorKind kind;
    NextTry next;
};

constexpr std::array kMeanings = std::to_array<Meaning>({
    // The body did not arrive as it was sent: the whole request again.
    {0, "RequestTimeout", timed_out, fresh_connection},
    {0, "BadDigest", io, later},
    {0, "XAmzContentSHA256Mismatch", io, later},
    {0, "IncompleteBody", io, later},
    // Too fast.
    {0, "SlowDown", overloaded, later},
    {0, "slow_down", overloaded, later},
    {0, "TooManyRequests", overloaded, later},
    {0, "too_many_requests", overloaded, later},
    {0, "RequestLimitExceeded", overloaded, later},
    {0, "Throttling", overloaded, later},
    {0, "ThrottlingException", overloaded, later},
    // Transient. "No tomes available" is this 503: behind the next connection is another vault.
    {0, "InternalError", io, fresh_connection},
    {0, "internal_error", io, fresh_connection},
    {0, "ServiceUnavailable", io, fresh_connection},
    {0, "service_unavailable", io, fresh_connection},
    {0, "request_timeout", timed_out, fresh_connection},
    {0, "OperationAborted", conflict, later},
    // The clock, the keys, the bucket, the region: somebody must act.
    {0, "RequestTimeTooSkewed", misconfigured, corrected_clock},
    {0, "SignatureDoesNotMatch", misconfigured, corrected_clock},
    {0, "InvalidAccessKeyId", misconfigured, never},
    {0, "AuthorizationHeaderMalformed", misconfigured, never},
    {0, "InvalidSecurity", misconfigured, never},
    {0, "AccountProblem", misconfigured, never},
    {0, "NoSuchBucket", misconfigured, never},
    {0, "InvalidBucketName", misconfigured, never},
    {0, "PermanentRedirect", misconfigured, never},
    {0, "TemporaryRedirect", misconfigured, never},
    {0, "Redirect", misconfigured, never},
    {0, "NotImplemented", misconfigured, never},
    {0, "email_not_verified", misconfigured, never},
    {0, "no_payment_history", misconfigured, never},
    {401, "bad_auth_token", denied, new_token},
    {401, "expired_auth_token", denied, new_token},
    {401, "missing_auth_token", denied, new_token},
    // Absent.
    {0, "NoSuchKey", not_found, never},
    {0, "NoSuchVersion", not_found, never},
    {0, "NoSuchUpload", not_found, never},
    {0, "no_such_file", not_found, never},
    {0, "file_not_present", not_found, never},
    {0, "already_hidden", not_found, never},
    // By status: answers without a body, or with one that is not the store's.
    {401, "", denied, new_token},
    {403, "", denied, never},
    {404, "", not_found, never},
    {408, "", timed_out, fresh_connection},
    {409, "", conflict, never},
    {410, "", not_found, never},
    {412, "", conflict, never},
    {429, "", overloaded, later},
    {501, "", misconfigured, never},
    {504, "", timed_out, fresh_connection},
});

Meaning meaning_of(int status, std::string_view code) {
    const auto found = std::ranges::find_if(kMeanings, [&](const Meaning& meaning) {
        return (meaning.status == 0 || meaning.status == status) &&
               (meaning.code.empty() || meaning.code == code);
    });
    if (found != kMeanings.end()) return *found;
    if (status >= 500) return {status, "", io, fresh_connection};
    if (status >= 400) return {status, "", invalid, never};
    if (status >= 300) return {status, "", misconfigured, never};
    return {status, "", io, later};  // an error that came as 200
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// True where "cap" or "caps" is a word of the text ("capability" is none). B2 is not known to say
// it in one way only.
bool names_a_cap(std::string_view text) {
    for (std::size_t i = 0; i + 3 <= text.size(); ++i) {
        const auto is = [&](std::size_t at, char low) {
            return at < text.size() && (text[at] | 0x20) == low;
        };
        if (!is(i, 'c') || !is(i + 1, 'a') || !is(i + 2, 'p')) continue;
        if (i > 0 && is_letter(text[i - 1])) continue;
        const std::size_t end = is(i + 3, 's') ? i + 4 : i + 3;
        if (end >= text.size() || !is_letter(text[end])) return true;
    }
    return false;
}

// The text of a member "NAME" of a JSON object, wherever it stands: an error body is one flat
// object, and what is broken gives "".
std::string json_text(std::string_view body, std::string_view name) {
    const std::string quoted = fmt::format("\"{}\"", name);
    std::size_t at = body.find(quoted);
    if (at == body.npos) return {};
    at = body.find_first_not_of(" \t\r\n", at + quoted.size());
    if (at == body.npos || body[at] != ':') return {};
    at = body.find_first_not_of(" \t\r\n", at + 1);
    if (at == body.npos || body[at] != '"') return {};
    std::string text;
    for (++at; at < body.size() && body[at] != '"'; ++at) {
        if (body[at] == '\\' && at + 1 < body.size()) ++at;
        text.push_back(body[at]);
    }
    return text;
}

StoreErrorText text_in(std::string_view body) {
    if (body.size() > kMaxErrorBytes) return {};
    const std::size_t first = body.find_first_not_of(" \t\r\n");
    if (first == body.npos) return {};
    if (body[first] == '{') return {json_text(body, "code"), json_text(body, "message"), {}};
    return parse_error_xml(body).value_or(StoreErrorText{});
}

// Seconds; a date, or nonsense, is no wish. Bounded so that no sum with it overflows.
std::chrono::seconds parse_retry_after(std::string_view text) {
    constexpr unsigned kMost = 86'400;
    unsigned seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size()) return {};
    return std::chrono::seconds(std::min(seconds, kMost));
}

std::string shown(std::string_view text) {
    std::string line = conf::printable(text.substr(0, kMaxShownBytes));
    if (text.size() > kMaxShownBytes) line += "...";
    return line;
}

std::string subject(const StoreCall& call) {
    return fmt::format("pool {}: {} {}", call.pool, call.method,
                       call.key.empty() ? "bucket" : std::string(call.key));
}

StoreDetail detail_of(const StoreCall& call) {
    StoreDetail detail;
    detail.pool = call.pool;
    detail.key = call.key;
    return detail;
}

Outcome outcome_of(int status, const Meaning& meaning) {
    if (meaning.kind == capped) return Outcome::capped;
    const bool is_failing = meaning.kind == io || meaning.kind == timed_out ||
                            meaning.kind == overloaded || (status >= 500 && status != 501);
    return is_failing ? Outcome::failed : Outcome::answered;
}

ErrorKind kind_of(TransportFault fault) {
    switch (fault) {
        case TransportFault::timed_out:
        case TransportFault::stalled:
            return timed_out;
        case TransportFault::tls:
            return misconfigured;
        case TransportFault::resolve:
        case TransportFault::connect:
        case TransportFault::cut:
        case TransportFault::other:
            break;
    }
    return io;
}

}  // namespace

StoreFailure failure_of(const StoreCall& call, const StoreAnswer& answer) {
    const StoreErrorText said = text_in(answer.body);
    Meaning meaning = meaning_of(answer.status, said.code);
    const bool is_refusal = answer.status == 401 || answer.status == 403;
    if (is_refusal && (names_a_cap(said.message) || said.code.ends_with("cap_exceeded") ||
                       said.code.ends_with("CapExceeded"))) {
        meaning = {answer.status, "", capped, never};
    }
    const std::chrono::seconds retry_after = parse_retry_after(answer.retry_after);
    // SlowDown in answer to a HEAD has no body to say so.
    if (answer.status == 503 && said.code.empty() && retry_after.count() > 0)
        meaning = {answer.status, "", overloaded, later};
    StoreDetail detail = detail_of(call);
    detail.status = answer.status;
    detail.code = conf::printable(std::string_view(said.code).substr(0, kMaxShownBytes));
    detail.request_id =
        shown(answer.request_id.empty() ? std::string_view(said.request_id) : answer.request_id);
    detail.retry_after = retry_after;
    detail.resets_daily = meaning.kind == capped;
    std::string text = fmt::format("{}: {}", subject(call), answer.status);
    if (!detail.code.empty()) text += " " + detail.code;
    if (!said.message.empty()) text += fmt::format(" ({})", shown(said.message));
    auto error = fail(meaning.kind, std::move(text), std::move(detail));
    return {std::move(error.error()), meaning.next, outcome_of(answer.status, meaning)};
}

StoreFailure failure_of(const StoreCall& call, TransportFault fault, std::string_view text) {
    auto error =
        fail(kind_of(fault), fmt::format("{}: {}", subject(call), shown(text)), detail_of(call));
    const NextTry next = fault == TransportFault::tls ? never : fresh_connection;
    return {std::move(error.error()), next, Outcome::failed};
}

Error breaker_refusal(const StoreCall& call, std::chrono::seconds retry_after, bool is_capped) {
    StoreDetail detail = detail_of(call);
    detail.retry_after = retry_after;
    if (is_capped) {
        return fail(capped, subject(call) + ": not asked, the store said that its cap is reached",
                    std::move(detail))
            .error();
    }
    return fail(overloaded, subject(call) + ": not asked, the store is failing", std::move(detail))
        .error();
}

Error budget_refusal(const StoreCall& call, std::chrono::seconds retry_after) {
    StoreDetail detail = detail_of(call);
    detail.retry_after = retry_after;
    detail.resets_daily = true;
    return fail(capped, subject(call) + ": not asked, today's budget of this pool is used up",
                std::move(detail))
        .error();
}

}  // namespace tidepool::storage
