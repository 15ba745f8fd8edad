#include "proxy/http/response.h"

#include "proxy/http/counters.h"
#include "proxy/http/refusal.h"

#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <variant>

#include <catch2/catch.hpp>

using namespace tidepool::http;

TEST_CASE("response: a text is a whole answer", "[http][response]") {
    const Response response = text_response(404, "text/plain", "not found\n", "X-A: b\r\n");
    CHECK(response.status == 404);
    CHECK(response.source == Source::none);
    CHECK(response.status_line() == "HTTP/1.1 404 Not Found\r\n");
    CHECK(response.field_lines() ==
          "X-A: b\r\nContent-Type: text/plain\r\n"
          "X-Content-Type-Options: nosniff\r\nContent-Length: 10\r\n");
    CHECK(response.body_bytes == 10);
    CHECK(response.has_body);
    CHECK_FALSE(response.close);
    REQUIRE(response.parts.size() == 1);
    CHECK(std::get<std::string>(response.parts[0]) == "not found\n");
    CHECK(text_response(200, "a/b", "").body_bytes == 0);
}

TEST_CASE("response: a head that is shared stands in for one of its own", "[http][response]") {
    Response response;
    response.shared_status = "HTTP/1.1 200 OK\r\n";
    response.shared_lines = "A: b\r\n";
    CHECK(response.status_line() == "HTTP/1.1 200 OK\r\n");
    CHECK(response.field_lines() == "A: b\r\n");
    response.head = "HTTP/1.1 404 Not Found\r\nB: c\r\n";
    CHECK(response.status_line() == "HTTP/1.1 404 Not Found\r\n");
    CHECK(response.field_lines() == "B: c\r\n");
    response.head = "HTTP/1.1 404 Not Found\r\n";
    CHECK(response.field_lines().empty());
}

TEST_CASE("response: every status that is sent has its phrase", "[http][response]") {
    CHECK(status_line_text(200) == "200 OK");
    CHECK(status_line_text(206) == "206 Partial Content");
    CHECK(status_line_text(304) == "304 Not Modified");
    CHECK(status_line_text(416) == "416 Range Not Satisfiable");
    CHECK(status_line_text(503) == "503 Service Unavailable");
    // The blank behind the number belongs to the line even without one (RFC 9112, 4).
    CHECK(status_line_text(299) == "299 ");
    for (std::size_t i = 0; i < kRefusals; ++i) {
        const int status = status_of(static_cast<Refusal>(i));
        CHECK(status_line_text(status).size() > 4);
    }
}

TEST_CASE("refusal: each has a name of its own and the status that the rules give it",
          "[http][response]") {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < kRefusals; ++i)
        names.insert(name(static_cast<Refusal>(i)));
    CHECK(names.size() == kRefusals);
    CHECK_FALSE(names.contains(""));

    CHECK(name(Refusal::bare_line_feed) == "bare_line_feed");
    CHECK(name(Refusal::bad_chunk) == "bad_chunk");
    CHECK(name(Refusal::too_many_connections_of_peer) == "too_many_connections_of_peer");
    for (const Refusal refusal :
         {Refusal::bare_line_feed, Refusal::bad_request_line, Refusal::bad_target,
          Refusal::bad_field_name, Refusal::bad_field_value, Refusal::folded_field,
          Refusal::bad_host, Refusal::two_content_lengths, Refusal::bad_content_length,
          Refusal::length_with_transfer_encoding, Refusal::bad_transfer_encoding,
          Refusal::bad_chunk, Refusal::body_not_allowed}) {
        CHECK(status_of(refusal) == 400);
    }
    CHECK(status_of(Refusal::bad_version) == 505);
    CHECK(status_of(Refusal::request_line_too_long) == 414);
    CHECK(status_of(Refusal::headers_too_large) == 431);
    CHECK(status_of(Refusal::too_many_fields) == 431);
    CHECK(status_of(Refusal::expectation) == 417);
    CHECK(status_of(Refusal::header_timeout) == 408);
    CHECK(status_of(Refusal::body_timeout) == 408);
    CHECK(status_of(Refusal::too_many_connections) == 503);
    CHECK(status_of(Refusal::too_many_connections_of_peer) == 429);
    CHECK(status_of(Refusal::too_many_answers) == 503);
    CHECK(status_of(Refusal::locked_out) == 403);
}

TEST_CASE("source: each has a label of its own", "[http][response]") {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < kSources; ++i)
        names.insert(name(static_cast<Source>(i)));
    CHECK(names.size() == kSources);
    CHECK(name(Source::memory) == "memory");
    CHECK(name(Source::internal) == "internal");
}

TEST_CASE("counters: a latency falls into the first bucket that holds it", "[http][response]") {
    Counters counters;
    for (const std::uint64_t us : {0ULL, 50ULL, 51ULL, 100ULL, 30'000'000ULL, 30'000'001ULL})
        counters.count_latency(us);
    CHECK(counters.latency[0].value() == 2);
    CHECK(counters.latency[1].value() == 2);
    CHECK(counters.latency[kLatencyBoundsUs.size() - 1].value() == 1);
    CHECK(counters.latency[kLatencyBoundsUs.size()].value() == 1);
    CHECK(counters.latency_sum_us.value() == 60'000'202);
}
