#include "proxy/http/fetch.h"

#include "tests/support/stub_origin.h"

#include <cstdlib>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::http;
using loop::Loop;
using loop::Task;
using namespace std::chrono_literals;
using test::answer;
using test::StubOrigin;
using Line = StubOrigin::Line;
using Request = StubOrigin::Request;

namespace {

constexpr std::size_t kBuffer = 256UL * 1024;

// A loop that fetches.
struct Ground {
    Loop loop;
    Fetcher fetcher{loop, 8};

    void run(Task<> task) {
        loop.tasks().spawn(std::move(task));
        loop.stop();
        loop.run();
    }
};

struct Answer {
    std::optional<Error> head_error;
    AnswerHead head;
    std::string body;
    std::optional<Error> body_error;
    bool is_whole() const { return !head_error && !body_error; }
};

Task<std::optional<Error>> read_rest(Fetch& fetch, std::string& body) {
    while (true) {
        const auto bytes = co_await fetch.read();
        if (!bytes) co_return bytes.error();
        if (bytes->empty()) co_return std::nullopt;
        body += *bytes;
    }
}

Task<Answer> get(Fetcher& fetcher, FetchRequest request) {
    Fetch fetch(fetcher, request, kBuffer);
    Answer got;
    auto head = co_await fetch.head();
    if (!head) {
        got.head_error = head.error();
        co_return got;
    }
    got.head = std::move(*head);
    got.body_error = co_await read_rest(fetch, got.body);
    co_return got;
}

Answer get(Ground& ground, FetchRequest request) {
    Answer got;
    const auto ask = [&]() -> Task<> { got = co_await get(ground.fetcher, std::move(request)); };
    ground.run(ask());
    return got;
}
Answer get(Ground& ground, const StubOrigin& origin) {
    return get(ground, FetchRequest{.url = origin.url()});
}

}  // namespace

TEST_CASE("fetch: head and body come as the origin says them", "[http][fetch]") {
    const StubOrigin origin(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag: \"a\"\r\nX-Odd:\t two  words "
        "\r\nX-Empty:\r\nx-odd: again\r\n\r\nhello");
    Ground ground;
    const Answer got = get(ground, FetchRequest{.url = origin.url("/a/../b%2F?c=%20"),
                                                .fields = "Range: bytes=1-5\r\nX-Mine: yes\r\n"});
    REQUIRE(got.is_whole());
    CHECK(got.head.status() == 206);
    CHECK(got.head.field("etag") == "\"a\"");
    CHECK(got.head.field("x-odd") == "two  words");
    CHECK(got.head.field("x-empty").empty());
    CHECK(got.head.field("absent").empty());
    CHECK(got.head.field_count() == 5);
    CHECK(got.body == "hello");

    const auto requests = origin.requests();
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].head.starts_with("GET /a/../b%2F?c=%20 HTTP/1.1\r\n"));
    CHECK(requests[0].field("range") == "bytes=1-5");
    CHECK(requests[0].field("x-mine") == "yes");
    CHECK(requests[0].field("host") == fmt::format("127.0.0.1:{}", origin.port()));
    CHECK(requests[0].field("accept-encoding").empty());
    CHECK(requests[0].field("user-agent").empty());
}

TEST_CASE("fetch: every way to say where a body ends", "[http][fetch]") {
    struct Case {
        std::string said;
        std::string body;
    };
    const Case cases[] = {
        {answer(200, "hello"), "hello"},
        {answer(200, ""), ""},
        {answer(404, "none"), "none"},
        {answer(503, "later"), "later"},
        {"HTTP/1.1 204 No Content\r\n\r\n", ""},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", ""},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n "
         "world\r\n0\r\nTrailer: x\r\n\r\n",
         "hello world"},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", "hello"},
        {"HTTP/1.0 200 OK\r\n\r\nhello", "hello"},
        // What comes beyond the length belongs to nobody.
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello world", "hello"},
    };
    for (const Case& each : cases) {
        CAPTURE(each.said);
        const StubOrigin origin([&](const Request&, Line& line) {
            line.say(each.said);
            line.cut();
        });
        Ground ground;
        const Answer got = get(ground, origin);
        CHECK(got.is_whole());
        CHECK(got.body == each.body);
        CHECK(got.head.field("trailer").empty());
    }
}

TEST_CASE("fetch: a redirect is an answer", "[http][fetch]") {
    const StubOrigin origin(answer(302, "", "Location: /elsewhere\r\n"));
    Ground ground;
    const Answer got = get(ground, origin);
    CHECK(got.head.status() == 302);
    CHECK(got.head.field("location") == "/elsewhere");
    CHECK(origin.request_count() == 1);
}

TEST_CASE("fetch: heads before the answer's are not the answer's", "[http][fetch]") {
    const StubOrigin origin(
        "HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n"
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" +
        answer(200, "hello"));
    Ground ground;
    const Answer got = get(ground, origin);
    CHECK(got.head.status() == 200);
    CHECK(got.head.field_count() == 1);
    CHECK(got.body == "hello");
}

TEST_CASE("fetch: a head without end is not taken", "[http][fetch]") {
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    const std::string early = "HTTP/1.1 103 Early Hints\r\n\r\n";
    const std::string field = "X-Field: 0123456789012345678901234567890123456789\r\n";
    const std::pair<std::string, std::string> cases[] = {{ok, field}, {"", early}};
    for (const auto& [first, line] : cases) {
        CAPTURE(line);
        const StubOrigin origin([&](const Request&, Line& to) {
            to.say(first);
            while (to.say(line)) {
            }
        });
        Ground ground;
        const Answer got = get(ground, origin);
        REQUIRE(got.head_error);
        CHECK(got.head_error->kind == ErrorKind::io);
        CHECK(got.head_error->text == "the answer's head is too large");
    }
}

TEST_CASE("fetch: an answer that is cut is never whole", "[http][fetch]") {
    struct Case {
        std::string said;
        std::optional<std::string> body;  // nothing: it fails before
    };
    const Case cases[] = {
        {"", std::nullopt},
        {"HTT", std::nullopt},
        {"HTTP/1.1 200 OK\r\nContent-Le", std::nullopt},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", std::nullopt},
        {"HTTP/1.1 100 Continue\r\n\r\n", std::nullopt},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", ""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "hello"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "hel"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "hello"},
    };
    for (const Case& each : cases) {
        for (const bool by_reset : {false, true}) {
            CAPTURE(each.said, by_reset);
            const StubOrigin origin([&](const Request&, Line& line) {
                line.say(each.said);
                by_reset ? line.reset() : line.cut();
            });
            Ground ground;
            const Answer got = get(ground, origin);
            CHECK_FALSE(got.is_whole());
            if (got.head_error) {
                CHECK(got.head_error->kind == ErrorKind::io);
            } else if (got.body_error) {
                CHECK(got.body_error->kind == ErrorKind::io);
            }
            // What a reset overtakes may be lost.
            if (!by_reset) CHECK(got.head_error.has_value() == !each.body.has_value());
            if (!by_reset && each.body) CHECK(got.body == *each.body);
        }
    }
}

TEST_CASE("fetch: what is not HTTP is not an answer", "[http][fetch]") {
    for (const std::string said :
         {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "\r\n\r\n", "HTTP/9.9 \r\n\r\n"}) {
        CAPTURE(said);
        const StubOrigin origin([&](const Request&, Line& line) {
            line.say(said);
            line.cut();
        });
        Ground ground;
        const Answer got = get(ground, origin);
        REQUIRE(got.head_error);
        CHECK(got.head_error->kind == ErrorKind::io);  // it may be next time
    }
}

TEST_CASE("fetch: nobody who answers", "[http][fetch]") {
    // A port that is taken but not listened at.
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    socklen_t length = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    Ground ground;
    const auto url = fmt::format("http://127.0.0.1:{}/", ntohs(address.sin_port));
    const Answer refused = get(ground, FetchRequest{.url = url});
    close(fd);
    REQUIRE(refused.head_error);
    CHECK(refused.head_error->kind == ErrorKind::io);

    const StubOrigin origin(answer(200, "hello"));
    for (const std::string wrong : {"", "http://", "ftp://127.0.0.1/", "file:///etc/hostname"}) {
        CAPTURE(wrong);
        // What a handle did before does not count.
        CHECK(get(ground, origin).is_whole());
        const Answer got = get(ground, FetchRequest{.url = wrong});
        REQUIRE(got.head_error);
        CHECK(got.head_error->kind == ErrorKind::misconfigured);
    }
}

TEST_CASE("fetch: names are looked up", "[http][fetch]") {
    const StubOrigin origin(answer(200, "hello"));
    Ground ground;
    const auto url = fmt::format("http://localhost:{}/", origin.port());
    CHECK(get(ground, FetchRequest{.url = url}).body == "hello");
}

TEST_CASE("fetch: the environment's proxies are not used", "[http][fetch]") {
    const StubOrigin origin(answer(200, "hello"));
    REQUIRE(setenv("http_proxy", "http://127.0.0.1:1", 1) == 0);
    Ground ground;
    const Answer got = get(ground, origin);
    unsetenv("http_proxy");
    CHECK(got.body == "hello");
}

TEST_CASE("fetch: an origin that says nothing more is not waited for", "[http][fetch]") {
    struct Case {
        std::string said;
        bool in_body;
    };
    const Case cases[] = {
        {"", false},
        {"HTTP/1.1 200 OK\r\nContent-Len", false},
        {"HTTP/1.1 100 Continue\r\n\r\n", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", true},
    };
    for (const Case& each : cases) {
        CAPTURE(each.said);
        const StubOrigin origin([&](const Request&, Line& line) {
            line.say(each.said);
            line.hang();
        });
        Ground ground;
        const Answer got = get(ground, {.url = origin.url(),
                                        .connect_timeout = 100ms,
                                        .first_byte_timeout = each.in_body ? 10'000ms : 100ms,
                                        .stall_timeout = each.in_body ? 200ms : 10'000ms});
        const auto& error = each.in_body ? got.body_error : got.head_error;
        REQUIRE(error);
        CHECK(error->kind == ErrorKind::timed_out);
        if (each.said.ends_with("hello")) CHECK(got.body == "hello");
    }
}

TEST_CASE("fetch: a slow reader makes the origin wait, which is no stall", "[http][fetch]") {
    const std::string body = test::pattern(24'000'000);
    const StubOrigin origin(answer(200, body));
    Ground ground;
    std::string got;
    std::optional<Error> error;
    const auto ask = [&]() -> Task<> {
        Fetch fetch(ground.fetcher, {.url = origin.url(), .stall_timeout = 2000ms}, 100'000);
        const auto head = co_await fetch.head();
        REQUIRE(head);
        // Long enough for a wrong one to have stalled, or to have taken everything.
        co_await ground.loop.delay(2500);
        CHECK(origin.bytes_said() < body.size() / 2);
        const auto first = co_await fetch.read();
        REQUIRE(first);
        CHECK(first->size() <= 100'000 + 64 * 1024);
        got = *first;
        co_await ground.loop.delay(2500);
        CHECK(origin.bytes_said() < body.size() / 2);
        error = co_await read_rest(fetch, got);
    };
    ground.run(ask());
    CHECK_FALSE(error);
    CHECK((got == body));
}

TEST_CASE("fetch: what has come and is not read is known", "[http][fetch]") {
    constexpr std::size_t kSaid = 100'000;  // less than the kernel holds
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    StubOrigin origin([&](const Request&, Line& line) {
        line.say(head + std::string(kSaid, 'x'));
        line.hang();
    });
    Ground ground;
    const auto ask = [&]() -> Task<> {
        Fetch fetch(ground.fetcher, {.url = origin.url()}, 20'000);
        CHECK(fetch.unread_bytes() == 0);
        CHECK(co_await fetch.head());
        while (fetch.unread_bytes() < kSaid)
            co_await ground.loop.delay(1);
        CHECK(fetch.unread_bytes() == kSaid);
        const auto bytes = co_await fetch.read();
        REQUIRE(bytes);
        CHECK(bytes->size() < kSaid);
        CHECK(fetch.unread_bytes() == kSaid - bytes->size());
    };
    ground.run(ask());
}

TEST_CASE("fetch: a buffer smaller than any piece", "[http][fetch]") {
    const std::string body = test::pattern(1'000'000);
    for (const bool chunked : {false, true}) {
        CAPTURE(chunked);
        const std::string said =
            chunked ? fmt::format(
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                          "chunked\r\n\r\n{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                          700'001, body.substr(0, 700'001), 299'999, body.substr(700'001))
                    : answer(200, body);
        const StubOrigin origin(said);
        Ground ground;
        std::string got;
        std::optional<Error> error;
        const auto ask = [&]() -> Task<> {
            Fetch fetch(ground.fetcher, {.url = origin.url()}, 1);
            const auto head = co_await fetch.head();
            REQUIRE(head);
            error = co_await read_rest(fetch, got);
        };
        ground.run(ask());
        CHECK_FALSE(error);
        CHECK((got == body));
    }
}

TEST_CASE("fetch: a connection is used again where that can be", "[http][fetch]") {
    const StubOrigin origin([](const Request& request, Line& line) {
        line.say(request.target() == "/close" ? answer(200, "bye", "Connection: close\r\n")
                                              : answer(200, request.target()));
    });
    Ground ground;
    const auto ask = [&](std::string_view target, bool fresh) {
        FetchRequest request{.url = origin.url(target)};
        request.fresh_connection = fresh;
        CHECK(get(ground, request).is_whole());
        return origin.connection_count();
    };
    CHECK(ask("/1", false) == 1);
    CHECK(ask("/2", false) == 1);
    CHECK(ask("/3", true) == 2);
    CHECK(ask("/4", false) == 2);
    CHECK(ask("/close", false) == 2);
    CHECK(ask("/5", true) == 3);
}

TEST_CASE("fetch: a kept connection that the origin has ended meanwhile", "[http][fetch]") {
    const StubOrigin origin([](const Request& request, Line& line) {
        if (request.connection == 0 && request.number == 1) {
            line.cut();  // instead of an answer
            return;
        }
        line.say(answer(200, "hello"));
    });
    Ground ground;
    CHECK(get(ground, origin).body == "hello");
    CHECK(get(ground, origin).body == "hello");  // asked again on a new one
    CHECK(origin.connection_count() == 2);
}

TEST_CASE("fetch: a kept connection that ends while nobody uses it", "[http][fetch]") {
    const StubOrigin origin([](const Request&, Line& line) {
        line.say(answer(200, "hello"));
        line.cut();
    });
    Ground ground;
    const auto ask = [&]() -> Task<> {
        for (int round = 0; round < 5; ++round) {
            const Answer got = co_await get(ground.fetcher, {.url = origin.url()});
            CHECK(got.body == "hello");
            co_await ground.loop.delay(20);  // the loop is told of the end
        }
    };
    ground.run(ask());
    CHECK(origin.connection_count() == 5);
}

TEST_CASE("fetch: one that is dropped does not disturb the next", "[http][fetch]") {
    constexpr std::size_t kPiece = 16UL * 1024;
    constexpr std::size_t kSaid = 4 * kPiece;  // a piece comes at once, the whole never
    const std::string body = test::pattern(2 * kSaid);
    std::latch dropped(1);
    const StubOrigin origin([&](const Request& request, Line& line) {
        if (request.number > 0) {
            line.say(answer(200, "second"));
            return;
        }
        line.say(answer(200, body).substr(0, kSaid));
        dropped.wait();
        line.say("more");
    });
    Ground ground;
    const auto ask = [&]() -> Task<> {
        {
            Fetch fetch(ground.fetcher, {.url = origin.url()}, kPiece);
            const auto head = co_await fetch.head();
            REQUIRE(head);
            const auto bytes = co_await fetch.read();
            REQUIRE(bytes);
            CHECK(bytes->size() < body.size());
            CHECK(body.starts_with(*bytes));
        }
        dropped.count_down();
        const Answer next = co_await get(ground.fetcher, {.url = origin.url()});
        CHECK(next.body == "second");
    };
    ground.run(ask());
    CHECK(origin.connection_count() == 2);
}

// Fetches that nobody answers, each with somebody who waits for its head until it is cancelled.
class Hanging {
  public:
    Hanging(Ground& ground, const StubOrigin& origin, int count) {
        for (int i = 0; i < count; ++i) {
            fetches_.push_back(std::make_unique<Fetch>(
                ground.fetcher, FetchRequest{.url = origin.url("/hang")}, kBuffer));
            ground.loop.tasks().spawn(wait(*fetches_.back(), failed_));
        }
    }
    // From the bottom of the stack.
    void cancel(std::size_t number) { fetches_[number]->cancel(); }
    void cancel_all() {
        for (auto& each : fetches_)
            each->cancel();
    }
    std::size_t failed() const { return failed_; }

  private:
    static Task<> wait(Fetch& fetch, std::size_t& failed) {
        const auto head = co_await fetch.head();
        if (!head && head.error().kind == ErrorKind::closed) ++failed;
    }
    std::vector<std::unique_ptr<Fetch>> fetches_;
    std::size_t failed_ = 0;
};

// Hangs where it is asked to.
void hang_or_answer(const Request& request, Line& line) {
    if (request.target() == "/hang") {
        line.hang();
    } else {
        line.say(answer(200, "hello"));
    }
}

TEST_CASE("fetch: cancelled in every state, it leaves the others in order", "[http][fetch]") {
    const StubOrigin origin(hang_or_answer);
    Ground ground;
    const auto ask = [&]() -> Task<> {
        for (int round = 0; round < 20; ++round) {
            Hanging hanging(ground, origin, 20);  // eight of them ask, the others wait
            for (int wait = 0; wait < round; ++wait)
                co_await ground.loop.yield();
            ground.loop.post([&] { hanging.cancel_all(); });
            while (hanging.failed() < 20)
                co_await ground.loop.yield();
            const Answer next = co_await get(ground.fetcher, {.url = origin.url()});
            CHECK(next.body == "hello");
        }
    };
    ground.run(ask());
    // Eight at a time; those of the round before may be told of their end late.
    CHECK(origin.most_connections() <= 17);
}

TEST_CASE("fetch: never asked for its head, it asks nobody", "[http][fetch]") {
    const StubOrigin origin(answer(200, "hello"));
    Ground ground;
    const auto ask = [&]() -> Task<> {
        {
            const Fetch idle(ground.fetcher, {.url = origin.url()}, kBuffer);
            Fetch cancelled(ground.fetcher, {.url = origin.url()}, kBuffer);
            cancelled.cancel();
            const auto head = co_await cancelled.head();
            REQUIRE_FALSE(head);
            CHECK(head.error().kind == ErrorKind::closed);
        }
        CHECK(origin.connection_count() == 0);
        const Answer next = co_await get(ground.fetcher, {.url = origin.url()});
        CHECK(next.body == "hello");
    };
    ground.run(ask());
}

TEST_CASE("fetch: no connection became free, which is not the origin's doing", "[http][fetch]") {
    const StubOrigin origin(hang_or_answer);
    const StubOrigin other(answer(200, "other"));
    Ground ground;
    const auto ask = [&]() -> Task<> {
        Hanging hanging(ground, origin, 8);
        const Answer late = co_await get(
            ground.fetcher,
            {.url = origin.url(), .connect_timeout = 50ms, .first_byte_timeout = 50ms});
        REQUIRE(late.head_error);
        CHECK(late.head_error->kind == ErrorKind::busy);

        const Answer elsewhere = co_await get(ground.fetcher, {.url = other.url()});
        CHECK(elsewhere.body == "other");

        // Before one is closed here, of which the origin may hear later than of the one that
        // follows.
        CHECK(origin.most_connections() <= 8);
        // What it waits for a connection is not taken from the origin's time.
        ground.loop.post([&] { hanging.cancel(7); });
        const Answer next = co_await get(ground.fetcher, {.url = origin.url()});
        CHECK(next.body == "hello");
        ground.loop.post([&] { hanging.cancel_all(); });
        while (hanging.failed() < 8)
            co_await ground.loop.yield();
    };
    ground.run(ask());
    CHECK(origin.connection_count() == 9);
}

TEST_CASE("fetch: cancelled while somebody waits for it", "[http][fetch]") {
    for (const std::string said : {"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"}) {
        CAPTURE(said);
        const StubOrigin origin([&](const Request&, Line& line) {
            line.say(said);
            line.hang();
        });
        Ground ground;
        Fetch fetch(ground.fetcher, {.url = origin.url()}, kBuffer);
        std::optional<Error> error;
        std::string body;
        const auto ask = [&]() -> Task<> {
            if (said.empty()) ground.loop.post([&] { fetch.cancel(); });
            const auto head = co_await fetch.head();
            if (!head) {
                error = head.error();
                co_return;
            }
            ground.loop.post([&] { fetch.cancel(); });
            error = co_await read_rest(fetch, body);
        };
        ground.run(ask());
        REQUIRE(error);
        CHECK(error->kind == ErrorKind::closed);
        CHECK(body == (said.empty() ? "" : "hello"));
        fetch.cancel();  // once more changes nothing
    }
}

TEST_CASE("fetch: one that has ended cannot be cancelled", "[http][fetch]") {
    const StubOrigin origin(answer(200, "hello"));
    Ground ground;
    const auto ask = [&]() -> Task<> {
        Fetch fetch(ground.fetcher, {.url = origin.url()}, kBuffer);
        const auto head = co_await fetch.head();
        REQUIRE(head);
        std::string body;
        const auto error = co_await read_rest(fetch, body);
        CHECK_FALSE(error);
        fetch.cancel();
        const auto more = co_await fetch.read();
        REQUIRE(more);
        CHECK(more->empty());
    };
    ground.run(ask());
}

TEST_CASE("fetch: many at once share the connections that are allowed", "[http][fetch]") {
    const StubOrigin origin([](const Request& request, Line& line) {
        line.say(answer(200, request.target() + test::pattern(50'000)));
    });
    Ground ground;
    int whole = 0;
    const auto ask = [&](int number) -> Task<> {
        const std::string target = fmt::format("/{}", number);
        const Answer got = co_await get(ground.fetcher, {.url = origin.url(target)});
        if (got.is_whole() && got.body == target + test::pattern(50'000)) ++whole;
    };
    for (int i = 0; i < 100; ++i)
        ground.loop.tasks().spawn(ask(i));
    ground.loop.stop();
    ground.loop.run();
    CHECK(whole == 100);
    CHECK(origin.request_count() == 100);
    CHECK(origin.most_connections() <= 8);
    CHECK(origin.connection_count() <= 8);
}
