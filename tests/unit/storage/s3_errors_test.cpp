#include "storage/s3_errors.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

const StoreCall kCall{.pool = "cold", .key = "uploads/a.jpg", .method = "GET"};

std::string xml(const std::string& code, const std::string& message = "m") {
    return "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<Error>\n    <Code>" +
           code + "</Code>\n    <Message>" + message + "</Message>\n</Error>\n";
}

std::string json(const std::string& code, const std::string& message = "") {
    return "{\n  \"code\": \"" + code + "\",\n  \"message\": \"" + message +
           "\",\n  \"status\": 1\n}";
}

struct Case {
    int status;
    std::string body;
    ErrorKind kind;
    NextTry next;
    Outcome outcome;
};

}  // namespace

TEST_CASE("s3 errors: what each answer means", "[storage][s3][errors]") {
    using enum ErrorKind;
    using enum NextTry;
    constexpr auto answered = Outcome::answered;
    constexpr auto failed = Outcome::failed;
    const std::vector<Case> cases{
        // S3, the contract's section 5.
        {400, xml("InvalidArgument"), invalid, never, answered},
        {400, xml("InvalidRequest"), invalid, never, answered},
        {400, xml("MalformedXML"), invalid, never, answered},
        {400, xml("RequestTimeout"), timed_out, fresh_connection, failed},
        {400, xml("BadDigest"), io, later, failed},
        {400, xml("IncompleteBody"), io, later, failed},
        {400, xml("AuthorizationHeaderMalformed"), misconfigured, never, answered},
        {403, xml("SignatureDoesNotMatch"), misconfigured, corrected_clock, answered},
        {403, xml("InvalidAccessKeyId", "Malformed Access Key Id"), misconfigured, never, answered},
        {403, xml("RequestTimeTooSkewed"), misconfigured, corrected_clock, answered},
        {403, xml("AccessDenied"), denied, never, answered},
        {403, xml("AccessDenied", "Cap exceeded"), capped, never, Outcome::capped},
        {403, xml("AccessDenied", "Transaction cap exceeded."), capped, never, Outcome::capped},
        {403, xml("AccessDenied", "see Caps &amp; Alerts"), capped, never, Outcome::capped},
        {403, xml("AccessDenied", "not entitled: capability readFiles"), denied, never, answered},
        {403, xml("AccessDenied", "escape the landscape"), denied, never, answered},
        {401, xml("UnauthorizedAccess"), denied, new_token, answered},
        {404, xml("NoSuchKey"), not_found, never, answered},
        {404, xml("NoSuchVersion"), not_found, never, answered},
        {404, xml("NoSuchUpload"), not_found, never, answered},
        {404, xml("NoSuchBucket"), misconfigured, never, answered},
        {409, xml("BucketAlreadyExists"), conflict, never, answered},
        {409, xml("OperationAborted"), conflict, later, answered},
        {411, xml("MissingContentLength"), invalid, never, answered},
        {412, xml("PreconditionFailed"), conflict, never, answered},
        {416, xml("InvalidRange"), invalid, never, answered},
        {500, xml("InternalError"), io, fresh_connection, failed},
        {501, xml("NotImplemented"), misconfigured, never, answered},
        {503, xml("ServiceUnavailable", "no tomes available"), io, fresh_connection, failed},
        {503, xml("SlowDown"), overloaded, later, failed},
        {301, xml("PermanentRedirect"), misconfigured, never, answered},
        // An error that came with 200, as copies can.
        {200, xml("InternalError"), io, fresh_connection, failed},
        {200, xml("SlowDown"), overloaded, later, failed},
        {200, xml("NobodyKnows"), io, later, failed},
        // B2's own, section 2.2.
        {400, json("bad_request"), ErrorKind::invalid, never, answered},
        {400, json("no_such_file"), not_found, never, answered},
        {400, json("already_hidden"), not_found, never, answered},
        {401, json("unauthorized"), denied, new_token, answered},
        {401, json("expired_auth_token"), denied, new_token, answered},
        {401, json("no_payment_history"), misconfigured, never, answered},
        {403,
         json("download_cap_exceeded",
              "Cannot download file, download bandwidth or "
              "transaction (Class B) cap exceeded. See ..."),
         capped, never, Outcome::capped},
        {403, json("storage_cap_exceeded"), capped, never, Outcome::capped},
        {403, json("transaction_cap_exceeded"), capped, never, Outcome::capped},
        {403, json("cap_exceeded"), capped, never, Outcome::capped},
        {403, json("access_denied"), denied, never, answered},
        {404, json("not_found"), not_found, never, answered},
        {408, json("request_timeout"), timed_out, fresh_connection, failed},
        {416, json("range_not_satisfiable"), invalid, never, answered},
        {429, json("too_many_requests"), overloaded, later, failed},
        {500, json("internal_error"), io, fresh_connection, failed},
        {503, json("service_unavailable"), io, fresh_connection, failed},
        // HEAD, and what proxies on the way write.
        {301, "", misconfigured, never, answered},
        {400, "", invalid, never, answered},
        {401, "", denied, new_token, answered},
        {403, "", denied, never, answered},
        {404, "", not_found, never, answered},
        {404, "<html><body>nginx</body></html>", not_found, never, answered},
        {408, "", timed_out, fresh_connection, failed},
        {412, "", conflict, never, answered},
        {429, "", overloaded, later, failed},
        {500, "<Error><Code>Internal", io, fresh_connection, failed},
        {502, "bad gateway", io, fresh_connection, failed},
        {503, "{\"code\": 7}", io, fresh_connection, failed},
        {503, "{\"code\"", io, fresh_connection, failed},
        {503, "{\"code\": \"x", io, fresh_connection, failed},
        {504, "", timed_out, fresh_connection, failed},
        {520, "", io, fresh_connection, failed},
        {418, "", invalid, never, answered},
    };
    for (const Case& c : cases) {
        INFO(c.status << " " << c.body);
        const StoreFailure failure = failure_of(kCall, {.status = c.status, .body = c.body});
        CHECK(failure.error.kind == c.kind);
        CHECK(failure.next == c.next);
        CHECK(failure.outcome == c.outcome);
        REQUIRE(failure.error.store);
        CHECK(failure.error.store->pool == "cold");
        CHECK(failure.error.store->key == "uploads/a.jpg");
        CHECK(failure.error.store->status == c.status);
    }
}

TEST_CASE("s3 errors: what the store said is kept, on one line", "[storage][s3][errors]") {
    const std::string body = xml("SlowDown", "line\none " + std::string(500, 'x'));
    const StoreFailure failure =
        failure_of(kCall, {.status = 503, .body = body, .request_id = "0f", .retry_after = "7"});
    CHECK(failure.error.store->code == "SlowDown");
    CHECK(failure.error.store->request_id == "0f");
    CHECK(failure.error.store->retry_after == std::chrono::seconds(7));
    CHECK(failure.error.text.starts_with("pool cold: GET uploads/a.jpg: 503 SlowDown (line\\none"));
    CHECK(failure.error.text.find('\n') == std::string::npos);
    CHECK(failure.error.text.size() < 300);
}

TEST_CASE("s3 errors: only sensible Retry-After counts", "[storage][s3][errors]") {
    const auto after = [](std::string_view text) {
        return failure_of(kCall, {.status = 503, .retry_after = text})
            .error.store->retry_after.count();
    };
    CHECK(after("") == 0);
    CHECK(after("120") == 120);
    CHECK(after("-1") == 0);
    CHECK(after("1.5") == 0);
    CHECK(after("Wed, 21 Oct 2015 07:28:00 GMT") == 0);
    CHECK(after("4000000000") == 86'400);
    CHECK(after("99999999999999999999") == 0);
}

TEST_CASE("s3 errors: a HEAD that is told when to come again was too fast",
          "[storage][s3][errors]") {
    const StoreFailure failure = failure_of(kCall, {.status = 503, .retry_after = "7"});
    CHECK(failure.error.kind == ErrorKind::overloaded);
    CHECK(failure.next == NextTry::later);
}

TEST_CASE("s3 errors: connections that fail", "[storage][s3][errors]") {
    struct Line {
        TransportFault fault;
        ErrorKind kind;
        NextTry next;
    };
    for (const Line& line : {
             Line{TransportFault::resolve, ErrorKind::io, NextTry::fresh_connection},
             Line{TransportFault::connect, ErrorKind::io, NextTry::fresh_connection},
             Line{TransportFault::tls, ErrorKind::misconfigured, NextTry::never},
             Line{TransportFault::timed_out, ErrorKind::timed_out, NextTry::fresh_connection},
             Line{TransportFault::stalled, ErrorKind::timed_out, NextTry::fresh_connection},
             Line{TransportFault::cut, ErrorKind::io, NextTry::fresh_connection},
         }) {
        const StoreFailure failure = failure_of(kCall, line.fault, "why");
        CHECK(failure.error.kind == line.kind);
        CHECK(failure.next == line.next);
        CHECK(failure.outcome == Outcome::failed);
        CHECK(failure.error.text == "pool cold: GET uploads/a.jpg: why");
        CHECK(failure.error.store->status == 0);
    }
}

TEST_CASE("s3 errors: our own refusals", "[storage][s3][errors]") {
    const Error budget = budget_refusal(kCall, std::chrono::seconds(60));
    CHECK(budget.kind == ErrorKind::capped);
    CHECK(budget.store->retry_after == std::chrono::seconds(60));
    CHECK_FALSE(budget.may_retry());
    CHECK(breaker_refusal(kCall, std::chrono::seconds(5), false).kind == ErrorKind::overloaded);
    CHECK(breaker_refusal(kCall, std::chrono::seconds(5), true).kind == ErrorKind::capped);
}
