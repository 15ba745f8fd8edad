// The settings of the origin lock.
#include "conf/settings_reader.h"

#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <stdlib.h>

using namespace tidepool::conf;

namespace {

const std::string kHotPool = "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv/uploads\"\n";
const std::string kSecret = "secret = 'env:TIDEPOOL_TEST_LOCK'\n";

ReadSettings read_edge(const std::string& toml) {
    const std::pair<const char*, const char*> variables[] = {
        {"TIDEPOOL_TEST_LOCK", "a-secret-of-the-edge"},
        {"TIDEPOOL_TEST_LOCK_BEFORE", "the-secret-before-it"},
        {"TIDEPOOL_TEST_LOCK_SHORT", "fifteen-bytes-x"},
        {"TIDEPOOL_TEST_LOCK_BLANK", "a secret with blanks"},
        {"TIDEPOOL_TEST_LOCK_LINES", "a-secret-of-two\nlines-of-text"},
        {"TIDEPOOL_TEST_LOCK_UMLAUT", "a-secret-with-\xc3\xa4-in-it"},
    };
    for (const auto& [name, value] : variables)
        setenv(name, value, 1);  // NOLINT(concurrency-mt-unsafe)
    return read_settings("[edge]\n" + toml + kHotPool, "t.toml");
}

std::vector<std::string> edge_problems(const std::string& toml) {
    std::vector<std::string> all;
    for (const Problem& problem : read_edge(toml).problems)
        all.push_back(problem.key + ": " + problem.message);
    return all;
}

void check_problem(const std::string& toml, const std::string& problem) {
    CAPTURE(toml);
    CHECK(edge_problems(toml) == std::vector<std::string>{problem});
}

}  // namespace

TEST_CASE("settings of the origin lock: nothing is checked until it is asked for",
          "[conf][settings]") {
    const EdgeSettings edge = read_edge("").settings.edge;
    CHECK(edge.hosts.empty());
    CHECK(edge.secret_header.empty());
    CHECK_FALSE(edge.only_trusted_peers);
    CHECK(edge.lock == EdgeSettings::Lock::enforce);
    CHECK(edge.refusal == EdgeSettings::Refusal::forbid);
}

TEST_CASE("settings of the origin lock: all of it together", "[conf][settings]") {
    const auto read = read_edge(
        "hosts = ['images.example', '*.example.com', '[2001:db8::1]']\n"
        "secret_header = 'X-Origin-Key'\n" +
        kSecret +
        "secret_previous = 'env:TIDEPOOL_TEST_LOCK_BEFORE'\n"
        "only_trusted_peers = true\nlock = 'log'\nrefusal = 'close'");
    CHECK(read.problems.empty());
    const EdgeSettings& edge = read.settings.edge;
    CHECK(edge.hosts.size() == 3);
    CHECK(edge.secret_header == "X-Origin-Key");
    CHECK(edge.secret.source() == "env:TIDEPOOL_TEST_LOCK");
    CHECK(edge.secret.reveal() == "a-secret-of-the-edge");
    CHECK(edge.secret_previous.reveal() == "the-secret-before-it");
    CHECK(edge.only_trusted_peers);
    CHECK(edge.lock == EdgeSettings::Lock::log);
    CHECK(edge.refusal == EdgeSettings::Refusal::close);
}

TEST_CASE("settings of the origin lock: hosts that are none", "[conf][settings]") {
    const std::string parts = " has a part between dots that is empty or above 63 characters";
    const std::string star = ": a star is the first part of a name, as in \"*.example.com\"";
    const std::string other =
        " holds a character that no host's name has: other alphabets are written as \"xn--...\"";
    const std::pair<std::string, std::string> cases[] = {
        {"https://a.example", "\"https://a.example\" is more than a host: no scheme"},
        {"a.example/", "\"a.example/\" is more than a host: no path"},
        {"a.example:443", "\"a.example:443\" is more than a host: no port"},
        {"[2001:db8::1]:443", "\"[2001:db8::1]:443\" is more than a host: no port"},
        {"2001:db8::1", "an address of IPv6 stands in brackets: write \"[2001:db8::1]\""},
        {"", "expected a name of 1 to 253 characters, not \"\""},
        {".", "expected a name of 1 to 253 characters, not \".\""},
        {"*.", "expected a name of 1 to 253 characters, not \"*.\""},
        {"a..example", "\"a..example\"" + parts},
        {".example", "\".example\"" + parts},
        {"a.example..", "\"a.example..\"" + parts},
        {"*..example", "\"*..example\"" + parts},
        {"*", "\"*\"" + star},
        {"a*.example", "\"a*.example\"" + star},
        {"a.*.example", "\"a.*.example\"" + star},
        {"*.*.example", "\"*.*.example\"" + star},
        {"*example", "\"*example\"" + star},
        {"user@a.example", "\"user@a.example\"" + other},
        {"a b.example", "\"a b.example\"" + other},
        {"b\xc3\xbc"
         "cher.example",
         "\"b\xc3\xbc"
         "cher.example\"" +
             other},
    };
    for (const auto& [host, problem] : cases)
        check_problem("hosts = ['" + host + "']", "edge.hosts[1]: " + problem);
    check_problem("hosts = ['a', 'b/']", "edge.hosts[2]: \"b/\" is more than a host: no path");
    CHECK(edge_problems("hosts = ['" + std::string(64, 'a') + ".example']").size() == 1);
    CHECK(edge_problems("hosts = ['" + std::string(63, 'a') + ".example.', '_x.example']").empty());
    CHECK(edge_problems("hosts = 'a.example'").size() == 1);
}

TEST_CASE("settings of the origin lock: headers that are the edge's or mean something",
          "[conf][settings]") {
    for (const char* name : {"CF-Connecting-IP", "cf-anything",
                             "X-CF-Key",         "X-Forwarded-For",
                             "x-forwarded-key",  "Host",
                             "Cookie",           "Authorization",
                             "Content-Length",   "Transfer-Encoding",
                             "Connection",       "Range",
                             "If-Range",         "If-Match",
                             "Referer",          "User-Agent",
                             "True-Client-IP",   "X-Real-IP",
                             "CDN-Loop",         "Expect",
                             "X-API-Key",        "Upload-Offset",
                             "Tus-Resumable",    "Origin",
                             "Accept",           "Accept-Encoding",
                             "Forwarded",        "Via"}) {
        check_problem("secret_header = '" + std::string(name) + "'\n" + kSecret,
                      "edge.secret_header: \"" + std::string(name) +
                          "\" has a meaning of its own, or is the edge's: take a name that nobody "
                          "else uses, such as \"X-Origin-Key\"");
    }
    for (const char* name : {"X Key", "X:Key", "X.Key", "Schl\xc3\xbcssel", " X"}) {
        check_problem("secret_header = '" + std::string(name) + "'\n" + kSecret,
                      "edge.secret_header: expected the name of a header, of letters, digits, "
                      "\"-\" and \"_\", such as \"X-Origin-Key\", not \"" +
                          std::string(name) + "\"");
    }
    for (const char* name : {"X-Origin-Key", "x_key", "Hosts", "CFKey"})
        CHECK(edge_problems("secret_header = '" + std::string(name) + "'\n" + kSecret).empty());
    check_problem(
        "client_address_header = 'X-Origin-Key'\nsecret_header = 'x-origin-key'\n" + kSecret,
        "edge.secret_header: one header holds one thing: take another name for the "
        "secret");
}

TEST_CASE("settings of the origin lock: header and secret come together", "[conf][settings]") {
    check_problem("secret_header = 'X-Origin-Key'",
                  "edge.secret_header: no secret is right: write secret = \"env:NAME\" or "
                  "\"file:/PATH\"");
    check_problem(
        "secret_header = 'X-Origin-Key'\n"
        "secret_previous = 'env:TIDEPOOL_TEST_LOCK_BEFORE'",
        "edge.secret_header: no secret is right: write secret = \"env:NAME\" or "
        "\"file:/PATH\"");
    check_problem(kSecret,
                  "edge.secret: nobody is asked for it: write secret_header = "
                  "\"X-Origin-Key\"");
    check_problem("secret_previous = 'env:TIDEPOOL_TEST_LOCK_BEFORE'",
                  "edge.secret_previous: nobody is asked for it: write secret_header = "
                  "\"X-Origin-Key\"");
}

TEST_CASE("settings of the origin lock: a wrong secret is named and never shown",
          "[conf][settings]") {
    const std::string header = "secret_header = 'X-Origin-Key'\n";
    check_problem(header + "secret = 'env:TIDEPOOL_TEST_LOCK_SHORT'",
                  "edge.secret: has 15 bytes, which can be guessed: expected at least 16");
    check_problem(header + kSecret + "secret_previous = 'env:TIDEPOOL_TEST_LOCK_SHORT'",
                  "edge.secret_previous: has 15 bytes, which can be guessed: expected at least 16");
    for (const char* name : {"BLANK", "LINES", "UMLAUT"}) {
        check_problem(header + "secret = 'env:TIDEPOOL_TEST_LOCK_" + name + "'",
                      "edge.secret: holds a blank, or a character that is no visible one of "
                      "ASCII, and stands in a header");
    }
    check_problem(header + "secret = 'env:TIDEPOOL_TEST_LOCK_NONE'",
                  "edge.secret: the environment has no variable \"TIDEPOOL_TEST_LOCK_NONE\"");
    CHECK(edge_problems(header + "secret = 'in-plain-text-in-the-file'").size() == 1);
}

TEST_CASE("settings of the origin lock: who lets only trusted peers in trusts somebody",
          "[conf][settings]") {
    CHECK(edge_problems("only_trusted_peers = true\ntrusted_ranges = []").size() == 1);
    CHECK(edge_problems("only_trusted_peers = true\ntrusted_ranges = ['127.0.0.1']").empty());
    CHECK(edge_problems("only_trusted_peers = true").empty());
}

TEST_CASE("settings of the origin lock: what it does are single words", "[conf][settings]") {
    CHECK(edge_problems("lock = 'on'").size() == 1);
    CHECK(edge_problems("lock = true").size() == 1);
    CHECK(edge_problems("refusal = 'drop'").size() == 1);
    CHECK(read_edge("lock = 'off'").settings.edge.lock == EdgeSettings::Lock::off);
}
