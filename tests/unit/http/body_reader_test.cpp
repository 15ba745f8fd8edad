#include "proxy/http/body_reader.h"

#include <cstddef>
#include <optional>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::http;
using Outcome = BodyReader::Outcome;

namespace {

BodyFraming with_length(std::uint64_t bytes) {
    return {.content_length = bytes};
}

BodyFraming chunked() {
    return {.chunked = true};
}

struct Read {
    Outcome outcome = Outcome::incomplete;
    std::size_t bytes = 0;  // of the body, where it is complete
    bool operator==(const Read&) const = default;
};

Read read(BodyFraming framing, const std::string& text, std::size_t step) {
    BodyReader reader(framing);
    Read result;
    std::size_t fed = 0;
    while (result.outcome == Outcome::incomplete && fed < text.size()) {
        const std::string piece = text.substr(fed, step);
        fed += piece.size();
        result.outcome = reader.feed(piece);
    }
    if (result.outcome == Outcome::complete) result.bytes = fed - reader.left_over();
    return result;
}

// The outcome is the same in pieces of every size.
Read read(BodyFraming framing, const std::string& text) {
    const Read whole = read(framing, text, text.size());
    for (std::size_t step = 1; step < text.size(); ++step) {
        INFO("in pieces of " << step);
        CHECK(read(framing, text, step) == whole);
    }
    return whole;
}

}  // namespace

TEST_CASE("body: a length is counted to the byte", "[http][body]") {
    const std::string next = "GET / HTTP/1.1\r\n\r\n";
    CHECK(read(with_length(5), "hello") == Read{Outcome::complete, 5});
    CHECK(read(with_length(5), "hello" + next) == Read{Outcome::complete, 5});
    CHECK(read(with_length(5), "hell").outcome == Outcome::incomplete);
    CHECK(read(with_length(1), "\n") == Read{Outcome::complete, 1});
    // Whatever the content looks like.
    CHECK(read(with_length(7), "\r\n\n\r0\r\n" + next) == Read{Outcome::complete, 7});
    CHECK(read(with_length(next.size()), next + next) == Read{Outcome::complete, next.size()});
}

TEST_CASE("body: chunks end with the empty line behind the last", "[http][body]") {
    for (const std::string body : {
             "0\r\n\r\n",
             "000\r\n\r\n",
             "5\r\nhello\r\n0\r\n\r\n",
             "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
             "A\r\n0123456789\r\n0\r\n\r\n",
             "a\r\n0123456789\r\n0\r\n\r\n",
             "0005\r\nhello\r\n0\r\n\r\n",
             "5\r\n\r\n\n\r0\r\n0\r\n\r\n",  // content that looks like framing
             "5;a=b\r\nhello\r\n0;c\r\n\r\n",
             "5;a=\"b c\"\r\nhello\r\n0\r\n\r\n",
             "5\r\nhello\r\n0\r\nX-Sum: 7\r\nY:\r\n\r\n",
         }) {
        INFO(body);
        CHECK(read(chunked(), body) == Read{Outcome::complete, body.size()});
        CHECK(read(chunked(), body + "GET /") == Read{Outcome::complete, body.size()});
        CHECK(read(chunked(), body.substr(0, body.size() - 1)).outcome == Outcome::incomplete);
    }
}

TEST_CASE("body: chunks that two readers could take differently are malformed", "[http][body]") {
    for (const std::string body : {
             "\r\n",
             "x\r\n",
             "-1\r\na\r\n0\r\n\r\n",
             "+1\r\na\r\n0\r\n\r\n",
             "0x1\r\na\r\n0\r\n\r\n",
             "1 \r\na\r\n0\r\n\r\n",
             " 1\r\na\r\n0\r\n\r\n",
             "1\ra\r\n0\r\n\r\n",
             "1\na\r\n0\r\n\r\n",
             "1;x\na\r\n0\r\n\r\n",
             "1;x\ry\r\na\r\n0\r\n\r\n",
             "1\r\nab\r\n0\r\n\r\n",
             "1\r\na\n0\r\n\r\n",
             "2\r\na\r\n0\r\n\r\n",
             "1\r\na0\r\n\r\n",
             "10000000000000000\r\na",
             "FFFFFFFFFFFFFFFFF\r\na",
             "0\r\n\n",
             "0\n\r\n",
             "0\r\nX: y\n\r\n",
             "0\r\nX: y\r\n\n",
             "0\r\nX: y\rZ: 1\r\n\r\n",
             "0\r\n X: y\r\n\r\n",
             "0\r\nX y\r\n\r\n",
         }) {
        INFO(body);
        CHECK(read(chunked(), body).outcome == Outcome::malformed);
    }
}

TEST_CASE("body: nothing is read behind the end", "[http][body]") {
    BodyReader complete(with_length(2));
    CHECK(complete.feed("abc") == Outcome::complete);
    CHECK(complete.left_over() == 1);
    CHECK(complete.feed("more") == Outcome::complete);
    BodyReader malformed(chunked());
    CHECK(malformed.feed("x\r\n") == Outcome::malformed);
    CHECK(malformed.feed("0\r\n\r\n") == Outcome::malformed);
}

TEST_CASE("body: its content is gathered without its framing", "[http][body]") {
    struct Case {
        BodyFraming framing;
        std::string text;
        std::string content;
    };
    const Case cases[] = {
        {with_length(5), "helloGET", "hello"},
        {chunked(), "5\r\nhello\r\n1;a=b\r\n \r\n3\r\nyou\r\n0\r\nTrailer: x\r\n\r\nGET",
         "hello you"},
        {chunked(), "0\r\n\r\nGET", ""},
    };
    for (const Case& each : cases) {
        for (std::size_t step = 1; step <= each.text.size(); ++step) {
            std::string content;
            BodyReader body(each.framing, &content);
            auto outcome = BodyReader::Outcome::incomplete;
            for (std::size_t at = 0;
                 at < each.text.size() && outcome == BodyReader::Outcome::incomplete; at += step)
                outcome = body.feed(std::string_view(each.text).substr(at, step));
            CHECK(outcome == BodyReader::Outcome::complete);
            CHECK(content == each.content);
        }
    }
}
