#include "proxy/serve/access_log.h"

#include "tests/support/folder.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;
using Format = conf::AccessLogSettings::Format;

namespace {

conf::AccessLogSettings settings(const std::string& path, Format format = Format::json) {
    conf::AccessLogSettings made;
    made.path = path;
    made.format = format;
    made.buffer_bytes = 1024 * 1024;
    made.flush_interval = conf::Milliseconds(60'000);  // only the end flushes
    return made;
}

http::Peer peer(const std::string& address, bool trusted = false) {
    http::Peer made;
    made.address = *conf::IpAddress::parse(address);
    made.trusted = trusted;
    return made;
}

// An answer to the request of that text.
struct Answered {
    explicit Answered(std::string request, http::Peer from = peer("192.0.2.1"))
        : text(std::move(request)), client(std::move(from)) {
        http::HeadScanner scanner;
        REQUIRE(scanner.scan(text, {}, head) == http::HeadScanner::Outcome::complete);
    }
    std::string text;
    http::Peer client;
    http::RequestHead head;
    http::Exchange exchange{.head = head,
                            .peer = client,
                            .status = 200,
                            .source = http::Source::memory,
                            .body_bytes_sent = 16384,
                            .first_byte_us = 42,
                            .total_us = 1234567};
};

// What the file holds once the log has ended.
std::string logged(const conf::AccessLogSettings& config,
                   const std::function<void(AccessLogWriter&)>& write) {
    auto log = AccessLog::open(config, 1, "CF-Connecting-IP");
    REQUIRE(log);
    write((*log)->writer(0));
    log->reset();
    std::ifstream file(config.path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string line_of(const Answered& answered, Format format) {
    const test::Folder folder;
    return logged(settings(folder.path("log"), format),
                  [&](AccessLogWriter& writer) { writer.write(answered.exchange); });
}

// Without the time, which stands in front.
std::string json_of(const Answered& answered) {
    const std::string line = line_of(answered, Format::json);
    static const std::regex time(R"(^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",)");
    REQUIRE(std::regex_search(line, time));
    return std::regex_replace(line, time, "{");
}

std::string combined_of(const Answered& answered) {
    const std::string line = line_of(answered, Format::combined);
    static const std::regex time(R"(\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\])");
    REQUIRE(std::regex_search(line, time));
    return std::regex_replace(line, time, "[TIME]");
}

const std::string kTail = R"("status":200,"bytes":16384,"ttfb_us":42,"time_us":1234567,)"
                          R"("source":"memory")";

}  // namespace

TEST_CASE("access log: a JSON line holds every field that is known", "[serve][log]") {
    const Answered full(
        "GET /uploads/a.jpg?token=secret HTTP/1.1\r\nHost: images.example\r\nRange: bytes=0-1\r\n"
        "Referer: https://site.example/page?session=secret\r\nUser-Agent: Mozilla/5.0\r\n"
        "CF-Ray: 8f1-FRA\r\nCF-Connecting-IP: 2001:db8::1\r\n\r\n",
        peer("173.245.48.1", true));
    CHECK(json_of(full) ==
          R"({"client":"2001:db8::1","peer":"173.245.48.1","ray":"8f1-FRA","method":"GET",)"
          R"("path":"/uploads/a.jpg",)" +
              kTail +
              R"(,"range":"bytes=0-1","host":"images.example",)"
              R"("referer":"https://site.example/page","agent":"Mozilla/5.0"})"
              "\n");
}

TEST_CASE("access log: a JSON line leaves out what was not sent", "[serve][log]") {
    const Answered bare("HEAD / HTTP/1.0\r\n\r\n");
    CHECK(json_of(bare) == R"({"client":"192.0.2.1","method":"HEAD","path":"/",)" + kTail + "}\n");
}

TEST_CASE("access log: an answer that broke off says so", "[serve][log]") {
    Answered broken("HEAD / HTTP/1.0\r\n\r\n");
    broken.exchange.whole = false;
    broken.exchange.status = 206;
    broken.exchange.source = http::Source::disk;
    CHECK(json_of(broken) ==
          R"({"client":"192.0.2.1","method":"HEAD","path":"/","status":206,"bytes":16384,)"
          R"("ttfb_us":42,"time_us":1234567,"source":"disk","broken":true})"
          "\n");
}

TEST_CASE("access log: a header of an untrusted peer is not believed", "[serve][log]") {
    const Answered liar("GET / HTTP/1.0\r\nCF-Connecting-IP: 203.0.113.7\r\n\r\n");
    CHECK_THAT(json_of(liar), Catch::StartsWith(R"({"client":"192.0.2.1","method")"));
    CHECK_THAT(combined_of(liar), Catch::StartsWith("192.0.2.1 - - "));
}

TEST_CASE("access log: a peer behind a unix socket has no address", "[serve][log]") {
    http::Peer unix_peer;
    unix_peer.is_unix = true;
    const Answered answered("GET / HTTP/1.0\r\n\r\n", unix_peer);
    CHECK_THAT(json_of(answered), Catch::StartsWith(R"({"client":"unix","method")"));
    CHECK_THAT(combined_of(answered), Catch::StartsWith("unix - - "));
}

TEST_CASE("access log: bytes of a client stay inside their field", "[serve][log]") {
    const Answered hostile(
        "GET /a\"\\\xC3\xA4\xFF HTTP/1.0\r\nUser-Agent: \"},{\"x\":\t\\\r\n\r\n");
    CHECK(json_of(hostile) ==
          R"({"client":"192.0.2.1","method":"GET","path":"/a\"\\\u00c3\u00a4\u00ff",)" + kTail +
              R"(,"agent":"\"},{\"x\":\u0009\\"})"
              "\n");
    CHECK(combined_of(hostile) ==
          R"(192.0.2.1 - - [TIME] "GET /a\x22\x5C\xC3\xA4\xFF HTTP/1.0" 200 16384 "-" )"
          R"("\x22},{\x22x\x22:\x09\x5C")"
          "\n");
}

TEST_CASE("access log: long texts are cut", "[serve][log]") {
    const Answered shouting("GET /" + std::string(5000, 'a') +
                            " HTTP/1.0\r\nUser-Agent: " + std::string(5000, '"') + "\r\n\r\n");
    const std::string json = json_of(shouting);
    CHECK_THAT(json, Catch::Contains("\"/" + std::string(1023, 'a') + "\""));
    CHECK(json.size() < 1024 + 2 * 1024 + 300);
    CHECK(combined_of(shouting).size() < 1024 + 4 * 1024 + 300);
}

TEST_CASE("access log: the combined format", "[serve][log]") {
    const Answered full(
        "GET /uploads/a.jpg?token=secret HTTP/1.1\r\nHost: a\r\n"
        "Referer: https://site.example/?q=secret\r\nUser-Agent: Mozilla/5.0\r\n"
        "CF-Connecting-IP: 203.0.113.7\r\n\r\n",
        peer("173.245.48.1", true));
    CHECK(combined_of(full) == R"(203.0.113.7 - - [TIME] "GET /uploads/a.jpg HTTP/1.1" 200 16384 )"
                               R"("https://site.example/" "Mozilla/5.0")"
                               "\n");
}

TEST_CASE("access log: a reload changes format and header", "[serve][log]") {
    const test::Folder folder;
    const Answered answered("GET / HTTP/1.0\r\nX-Real-IP: 203.0.113.7\r\n\r\n",
                            peer("10.0.0.1", true));
    const std::string text = logged(settings(folder.path("log")), [&](AccessLogWriter& writer) {
        writer.write(answered.exchange);
        writer.change(Format::combined, "X-Real-IP");
        writer.write(answered.exchange);
    });
    CHECK_THAT(text, Catch::Contains(R"("client":"10.0.0.1")"));
    CHECK_THAT(text, Catch::Contains("\n203.0.113.7 - - "));
}

TEST_CASE("access log: lines of all loops are written, and counted", "[serve][log]") {
    const test::Folder folder;
    folder.write("log", "before\n");
    const Answered answered("GET / HTTP/1.0\r\n\r\n");
    auto log = AccessLog::open(settings(folder.path("log"), Format::combined), 3, "X");
    REQUIRE(log);
    for (unsigned loop = 0; loop < 3; ++loop) {
        for (int i = 0; i < 100; ++i)
            (*log)->writer(loop).write(answered.exchange);
    }
    CHECK((*log)->lines() == 300);
    CHECK((*log)->dropped() == 0);
    log->reset();
    const std::string text = folder.read("log");
    CHECK_THAT(text, Catch::StartsWith("before\n192.0.2.1 "));
    CHECK(std::ranges::count(text, '\n') == 301);
}

TEST_CASE("access log: what does not fit is dropped whole and counted", "[serve][log]") {
    const test::Folder folder;
    const Answered answered("GET / HTTP/1.0\r\n\r\n");
    conf::AccessLogSettings tiny = settings(folder.path("log"), Format::combined);
    tiny.buffer_bytes = 10;
    auto log = AccessLog::open(tiny, 1, "X");
    REQUIRE(log);
    for (int i = 0; i < 5; ++i)
        (*log)->writer(0).write(answered.exchange);
    CHECK((*log)->lines() == 5);
    CHECK((*log)->dropped() == 5);
    log->reset();
    CHECK(folder.read("log").empty());
}

TEST_CASE("access log: what was said before a reopening stands in the old file", "[serve][log]") {
    const test::Folder folder;
    const Answered answered("GET / HTTP/1.0\r\n\r\n");
    auto log = AccessLog::open(settings(folder.path("log"), Format::combined), 1, "X");
    REQUIRE(log);
    (*log)->writer(0).write(answered.exchange);
    folder.rename("log", "log.1");
    (*log)->reopen();
    log->reset();
    CHECK_THAT(folder.read("log.1"), Catch::StartsWith("192.0.2.1 "));
    CHECK(std::filesystem::exists(folder.path("log")));
    CHECK(folder.read("log").empty());
}

TEST_CASE("access log: a path that cannot be opened is an error", "[serve][log]") {
    const test::Folder folder;
    const auto log = AccessLog::open(settings(folder.path("nowhere/at/all/log")), 1, "X");
    REQUIRE_FALSE(log);
    CHECK_THAT(log.error().text, Catch::Contains("access_log.path"));
}
