#include "conf/settings_reader.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

// Behind the text under test, so that its lines count from 1.
const std::string kPool = "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv/uploads\"\n";

std::vector<std::string> texts(const std::string& toml) {
    std::vector<std::string> all;
    for (const Problem& problem : read_settings(toml, "t.toml").problems)
        all.push_back(problem.text());
    return all;
}

struct Case {
    const char* toml;
    const char* problem;
};

// Each TOML has exactly one problem.
void check_single(const std::vector<Case>& cases, const std::string& after = kPool) {
    for (const auto& [toml, problem] : cases) {
        INFO(toml);
        const auto found = texts(toml + after);
        CHECK_THAT(found, Catch::Equals(std::vector<std::string>{problem}));
    }
}

}  // namespace

TEST_CASE("settings: an unknown key names the nearest known one", "[conf][settings]") {
    check_single({
        {"[server]\nthread = 3",
         "t.toml:2:1: server.thread: unknown key; did you mean \"threads\"?"},
        {"[server]\n\n  url_perfix = \"/a/\"",
         "t.toml:3:3: server.url_perfix: unknown key; did you mean \"url_prefix\"?"},
        {"[limits]\nrequest_line_bytes = 3",
         "t.toml:2:1: limits.request_line_bytes: unknown key; did you mean \"request_line\"?"},
        {"[servr]\nthreads = 3", "t.toml:1:2: servr: unknown key; did you mean \"server\"?"},
        {"[pools]\n", "t.toml:1:2: pools: unknown key; did you mean \"pool\"?"},
        {"server.thread = 1", "t.toml:1:8: server.thread: unknown key; did you mean \"threads\"?"},
        {"[log]\nx.y.z = 1", "t.toml:2:1: log.x: unknown key; known here: level"},
        {"[log]\n\"a\\nb c\" = 1", "t.toml:2:1: log.\"a\\nb c\": unknown key; known here: level"},
    });
}

TEST_CASE("settings: an unknown key that another section knows names that section",
          "[conf][settings]") {
    check_single({
        {"listen = []", "t.toml:1:1: listen: unknown key; it belongs to [server]"},
        {"[server]\nmemory = \"1MiB\"",
         "t.toml:2:1: server.memory: unknown key; it belongs to [cache]"},
        {"[log]\nbase_path = \"/\"",
         "t.toml:2:1: log.base_path: unknown key; it belongs to [[pool]]"},
    });
}

TEST_CASE("settings: a wrong type says what was expected and what was found", "[conf][settings]") {
    check_single({
        {"server = 3", "t.toml:1:10: server: expected a table [server], not 3"},
        {"[[server]]", "t.toml:1:1: server: expected a table [server], not a list"},
        {"[cache_control]\nprefix = \"\"",
         "t.toml:1:1: cache_control: expected tables [[cache_control]], not a table"},
        {"cache_control = [7]",
         "t.toml:1:18: cache_control[1]: expected tables [[cache_control]], not 7"},
        {"[server]\nlisten = \"0.0.0.0:80\"",
         "t.toml:2:10: server.listen: expected a list such as [\"0.0.0.0:8080\"], not "
         "\"0.0.0.0:80\""},
        {"[server]\nlisten = [\n  8080]",
         "t.toml:3:3: server.listen[1]: expected an address such as \"0.0.0.0:8080\", not 8080"},
        {"[server]\nthreads = \"4\"",
         "t.toml:2:11: server.threads: expected a whole number from 0 to 256, not \"4\""},
        {"[server]\nthreads = 1.5",
         "t.toml:2:11: server.threads: expected a whole number from 0 to 256, not 1.5"},
        {"[server]\nthreads = true",
         "t.toml:2:11: server.threads: expected a whole number from 0 to 256, not true"},
        {"[server]\nthreads = []",
         "t.toml:2:11: server.threads: expected a whole number from 0 to 256, not a list"},
        {"[server]\nthreads = 2026-01-01",
         "t.toml:2:11: server.threads: expected a whole number from 0 to 256, not a date or time"},
        {"[server]\nsocket_mode = 432",
         "t.toml:2:15: server.socket_mode: expected permissions as octal text from \"0000\" to "
         "\"0777\", such as "
         "\"0660\", not 432"},
        {"[server]\nurl_prefix = 1", "t.toml:2:14: server.url_prefix: expected a text, not 1"},
        {"[types]\nallowed = \"image/png\"",
         "t.toml:2:11: types.allowed: expected a list of texts, not \"image/png\""},
        {"[types]\nallowed = [\"image/png\", 3]",
         "t.toml:2:25: types.allowed[2]: expected a text, not 3"},
        {"[[cache_control]]\ncache_control = \"no-store\"\nuuid_named = \"yes\"",
         "t.toml:3:14: cache_control[1].uuid_named: expected true or false, not \"yes\""},
        {"[log]\nlevel = \"loud\"",
         "t.toml:2:9: log.level: expected \"debug\" or \"info\" or \"warn\" or \"error\", not "
         "\"loud\""},
        {"[access_log]\nformat = 1",
         "t.toml:2:10: access_log.format: expected \"json\" or \"combined\", not 1"},
        {"[edge]\ntrusted_ranges = 1",
         "t.toml:2:18: edge.trusted_ranges: expected \"cloudflare\", a list of ranges or "
         "\"file:PATH\", not 1"},
    });
}

TEST_CASE("settings: a bare number for a size or duration says what to write", "[conf][settings]") {
    check_single({
        {"[timeouts]\nheader = 2",
         "t.toml:2:10: timeouts.header: a duration is text with a unit (ms, s, m, h, d): write "
         "\"2s\""},
        {"[limits]\nheaders = 65536",
         "t.toml:2:11: limits.headers: a size is text with a unit: write \"64KiB\""},
        {"[cache]\nmemory = 0",
         "t.toml:2:10: cache.memory: a size is text with a unit: write \"0B\""},
        {"[cache]\nmemory = -1",
         "t.toml:2:10: cache.memory: expected a size such as \"64KiB\", not -1"},
        {"[timeouts]\nheader = 1.5",
         "t.toml:2:10: timeouts.header: expected a duration such as \"2s\", not 1.5"},
        {"[timeouts]\nheader = \"2 s\"",
         "t.toml:2:10: timeouts.header: \"2 s\" is not a duration: write a whole number and ms, s, "
         "m, h or d, such as "
         "\"250ms\" or \"15m\""},
        {"[cache]\nmemory = \"1 gig\"",
         "t.toml:2:10: cache.memory: \"1 gig\" is not a size: write a whole number and B, KiB, "
         "MiB, GiB or TiB (or kB, "
         "MB, GB, TB), such as \"64MiB\""},
        {"[cache]\nmemory = \"99999999TiB\"",
         "t.toml:2:10: cache.memory: \"99999999TiB\" is too large"},
    });
}

TEST_CASE("settings: a value out of its range names the range with units", "[conf][settings]") {
    check_single({
        {"[server]\nthreads = -1",
         "t.toml:2:11: server.threads: expected a whole number from 0 to 256, not -1"},
        {"[server]\nthreads = 257",
         "t.toml:2:11: server.threads: expected a whole number from 0 to 256, not 257"},
        {"[server]\nthreads = 4294967297",
         "t.toml:2:11: server.threads: expected a whole number from 0 to 256, not 4294967297"},
        {"[server]\nbacklog = 0",
         "t.toml:2:11: server.backlog: expected a whole number from 1 to 65535, not 0"},
        {"[server]\nsocket_mode = \"1777\"",
         "t.toml:2:15: server.socket_mode: expected permissions as octal text from \"0000\" to "
         "\"0777\", such as "
         "\"0660\", not \"1777\""},
        {"[server]\nsocket_mode = \"0689\"",
         "t.toml:2:15: server.socket_mode: expected permissions as octal text from \"0000\" to "
         "\"0777\", such as "
         "\"0660\", not \"0689\""},
        {"[server]\ndrain_timeout = \"11m\"",
         "t.toml:2:17: server.drain_timeout: expected a duration from 0s to 10m, not 11m"},
        {"[limits]\nrequest_line = \"255B\"",
         "t.toml:2:16: limits.request_line: expected a size from 256B to 64KiB, not 255B"},
        {"[limits]\ndiscard_body = \"1GiB\"",
         "t.toml:2:16: limits.discard_body: expected a size from 0B to 16MiB, not 1GiB"},
        {"[limits]\nranges = 301",
         "t.toml:2:10: limits.ranges: expected a whole number from 1 to 300, not 301"},
        {"[timeouts]\nlinger = \"61s\"",
         "t.toml:2:10: timeouts.linger: expected a duration from 0s to 1m, not 61s"},
        {"[timeouts]\nheader = \"99ms\"",
         "t.toml:2:10: timeouts.header: expected a duration from 100ms to 5m, not 99ms"},
        {"[workers]\nqueue = 0",
         "t.toml:2:9: workers.queue: expected a whole number from 1 to 1000000, not 0"},
        {"[cache]\nfreshness = \"2h\"",
         "t.toml:2:13: cache.freshness: expected a duration from 100ms to 1h, not 2h"},
        {"[access_log]\nbuffer = \"1KiB\"",
         "t.toml:2:10: access_log.buffer: expected a size from 16KiB to 1GiB, not 1KiB"},
    });
}

TEST_CASE("settings: the spelling of texts is checked", "[conf][settings]") {
    check_single({
        {"[reconcile]\nquarantine_prefix = \"a/b/\"",
         "t.toml:2:21: reconcile.quarantine_prefix: expected one name of letters, digits, \"-\" "
         "and \"_\" that ends with \"/\", such as \"quarantine/\", not \"a/b/\""},
        {"[server]\nlisten = [\"localhost:80\"]",
         "t.toml:2:11: server.listen[1]: \"localhost:80\" is no address to listen on: names are "
         "not looked up, write "
         "\"127.0.0.1:80\""},
        {"[server]\nlisten = []",
         "t.toml:2:10: server.listen: the list is empty: the server needs an address such as "
         "\"0.0.0.0:8080\""},
        {"[server]\nurl_prefix = \"uploads/\"",
         "t.toml:2:14: server.url_prefix: expected a path that starts and ends with \"/\", such as "
         "\"/uploads/\", not "
         "\"uploads/\""},
        {"[server]\nurl_prefix = \"/a/../b/\"",
         "t.toml:2:14: server.url_prefix: \"/a/../b/\" holds \"..\", which no prefix may"},
        {"[server]\nurl_prefix = \"/a//\"",
         "t.toml:2:14: server.url_prefix: \"/a//\" holds \"//\", which no prefix may"},
        {"[server]\nurl_prefix = \"/a%20/\"",
         "t.toml:2:14: server.url_prefix: \"/a%20/\" holds \"%\", which no prefix may"},
        {"[server]\nurl_prefix = \"/a?/\"",
         "t.toml:2:14: server.url_prefix: \"/a?/\" holds \"?\", which no prefix may"},
        {"[server]\nurl_prefix = \"/a b/\"",
         "t.toml:2:14: server.url_prefix: \"/a b/\" holds a character that a URL has only encoded"},
        {"[types]\nallowed = [\"image/png\", \"png\"]",
         "t.toml:2:25: types.allowed[2]: expected a type in lower case such as \"image/png\", "
         "\"image/*\" or \"*\", not "
         "\"png\""},
        {"[types]\nallowed = [\"*/*\"]",
         "t.toml:2:12: types.allowed[1]: expected a type in lower case such as \"image/png\", "
         "\"image/*\" or \"*\", not "
         "\"*/*\""},
        {"[types]\nallowed = []", "t.toml:2:11: types.allowed: the list is empty"},
        {"[edge]\nclient_address_header = \"X Real IP\"",
         "t.toml:2:25: edge.client_address_header: expected the name of a header, such as "
         "\"CF-Connecting-IP\", not \"X "
         "Real IP\""},
        {"[access_log]\npath = \"log.txt\"",
         "t.toml:2:8: access_log.path: expected an absolute path of a file, \"-\" for standard "
         "output or \"\" for none, "
         "not \"log.txt\""},
    });
}

TEST_CASE("settings: a pool's values are checked and its number counts from 1",
          "[conf][settings]") {
    check_single(
        {
            {"", "t.toml: pool: there is no pool: add a [[pool]] with name and base_path"},
            {"pool = []",
             "t.toml:1:8: pool: there is no pool: add a [[pool]] with name and base_path"},
            {"pool = 3", "t.toml:1:8: pool: expected tables [[pool]], not 3"},
            {"[pool]\nname = \"a\"", "t.toml:1:1: pool: expected tables [[pool]], not a table"},
            {"[[pool]]\nbase_path = \"/a\"",
             "t.toml:1:1: pool[1].name: is missing: write name = \"hot\""},
            {"[[pool]]\nname = \"a\"\n",
             "t.toml:1:1: pool[1].base_path: is missing: write base_path = \"/srv/uploads\""},
            {"[[pool]]\nname = \"Hot\"\nbase_path = \"/a\"",
             "t.toml:2:8: pool[1].name: expected 1 to 63 characters of a-z, 0-9 and \"-\", not "
             "\"Hot\""},
            {"[[pool]]\nname = \"\"\nbase_path = \"/a\"",
             "t.toml:2:8: pool[1].name: expected 1 to 63 characters of a-z, 0-9 and \"-\", not "
             "\"\""},
            {"[[pool]]\nname = \"a\"\nbase_path = \"a\"",
             "t.toml:3:13: pool[1].base_path: expected an absolute path, such as \"/srv/uploads\", "
             "not \"a\""},
            {"[[pool]]\nname = \"a\"\nbase_path = \"\"",
             "t.toml:3:13: pool[1].base_path: is missing: write base_path = \"/srv/uploads\""},
            {"[[pool]]\nname = \"a\"\nbase_path = \"/a/../b\"",
             "t.toml:3:13: pool[1].base_path: \"/a/../b\" holds \"..\": write where that leads"},
            {"[[pool]]\nname = \"a\"\nbase_path = \"/a\\u0000b\"",
             "t.toml:3:13: pool[1].base_path: \"/a\\x00b\" holds a control character"},
            {"[[pool]]\nname = \"a\"\nbase_path = \"/a\"\nmarker = \"b/.mounted\"",
             "t.toml:4:10: pool[1].marker: expected the name of a file directly below base_path, "
             "such as \".mounted\", not \"b/.mounted\""},
            {"[[pool]]\nname = \"a\"\nbase_path = \"/a\"\nmarker = \".\"",
             "t.toml:4:10: pool[1].marker: expected the name of a file directly below base_path, "
             "such as \".mounted\", not \".\""},
            {"[[pool]]\nname = \"a\"\nbase_path = \"/a\"\nmarker = \"..\"",
             "t.toml:4:10: pool[1].marker: expected the name of a file directly below base_path, "
             "such as \".mounted\", not \"..\""},
            {"[[pool]]\nname = \"a\"\nbase_path = \"/a\"\nmarker = \"a\\u0000b\"",
             "t.toml:4:10: pool[1].marker: \"a\\x00b\" holds a control character"},
            {"[[pool]]\nname = \"a\"\nbase_path = \"/a\"\npriority = -1",
             "t.toml:4:12: pool[1].priority: expected a whole number from 0 to 1000000, not -1"},
            {"[[pool]]\nname = \"a\"\nbase_path = \"/a\"\nstorage_type = \"S3\"",
             "t.toml:4:16: pool[1].storage_type: expected \"local\" or \"nfs\" or \"s3\", not "
             "\"S3\""},
            {"[[pool]]\nname = \"a\"\nbase_path = \"/a\"\n[[pool]]\nname = \"b\"\nbase_path = "
             "\"/b\"\nis_active = 1",
             "t.toml:7:13: pool[2].is_active: expected true or false, not 1"},
            {"[[pool]]\nname = \"a\"\nbase_path = \"/a\"\nmax_sise = \"1GiB\"",
             "t.toml:4:1: pool[1].max_sise: unknown key; did you mean \"max_size\"?"},
        },
        "");
}

TEST_CASE("settings: a rule's values are checked", "[conf][settings]") {
    check_single({
        {"[[cache_control]]\nstatus = [\"200\"]",
         "t.toml:1:1: cache_control[1].cache_control: is missing: write cache_control = \"public, "
         "max-age=300\""},
        {"[[cache_control]]\nstatus = [\"200\"]\ncache_control = \"\"",
         "t.toml:3:17: cache_control[1].cache_control: is empty: write directives such as "
         "\"public, max-age=300\" or "
         "\"no-store\""},
        {"[[cache_control]]\nstatus = [\"200\"]\ncache_control = \"public max-age=5\"",
         "t.toml:3:17: cache_control[1].cache_control: \"public max-age\" is no directive: it is "
         "not one word"},
        {"[[cache_control]]\nstatus = [\"200\"]\ncache_control = \"public\\r\\nSet-Cookie: a=b\"",
         "t.toml:3:17: cache_control[1].cache_control: \"public\\x0d\\nSet-Cookie: a=b\" holds a "
         "character that no header "
         "value may"},
        {"[[cache_control]]\nstatus = [\"200\"]\ncache_control = \"public\"\ncdn_cache_control = "
         "\"max-age\"",
         "t.toml:4:21: cache_control[1].cdn_cache_control: \"max-age\" takes a number of seconds "
         "up to 2147483648, such "
         "as \"max-age=300\""},
        {"[[cache_control]]\nstatus = [\"200\", \"2x\"]\ncache_control = \"public\"",
         "t.toml:2:18: cache_control[1].status[2]: expected a status such as \"200\" or a class "
         "such as \"4xx\", not "
         "\"2x\""},
        {"[[cache_control]]\nstatus = [\"600\"]\ncache_control = \"public\"",
         "t.toml:2:11: cache_control[1].status[1]: expected a status such as \"200\" or a class "
         "such as \"4xx\", not "
         "\"600\""},
        {"[[cache_control]]\nstatus = [\"206\"]\ncache_control = \"public\"",
         "t.toml:2:11: cache_control[1].status[1]: 206 and 304 follow the rule of 200: write "
         "\"200\""},
        {"[[cache_control]]\nstatus = [200]\ncache_control = \"public\"",
         "t.toml:2:11: cache_control[1].status[1]: expected a text, not 200"},
        {"[[cache_control]]\nstatus = [\"200\"]\ncache_control = \"public\"\nprefix = \"/a\"",
         "t.toml:4:10: cache_control[1].prefix: keys have no \"/\" at their start: write \"a\""},
        {"[[cache_control]]\nstatus = [\"200\"]\ncache_control = \"public\"\ncontent_type = \"*\"",
         "t.toml:4:16: cache_control[1].content_type: expected a type in lower case such as "
         "\"image/png\" or "
         "\"image/*\", or \"\" for any, not \"*\""},
    });
}

TEST_CASE("settings: invariant 8, no rule lets a 5xx be cached", "[conf][settings]") {
    check_single({
        {"[[cache_control]]\nstatus = [\"5xx\"]\ncache_control = \"max-age=1\"",
         "t.toml:3:17: cache_control[1].cache_control: 5xx must be no-store, for caches would keep "
         "the error"},
        {"[[cache_control]]\nstatus = [\"200\", \"503\"]\ncache_control = \"max-age=1\"",
         "t.toml:3:17: cache_control[1].cache_control: 5xx must be no-store, for caches would keep "
         "the error"},
        {"[[cache_control]]\nstatus = [\"5xx\"]\ncache_control = \"no-store\"\ncdn_cache_control = "
         "\"max-age=1\"",
         "t.toml:4:21: cache_control[1].cdn_cache_control: 5xx must be no-store, for caches would "
         "keep the error"},
        {"[[cache_control]]\nstatus = [\"500\"]\ncache_control = "
         "\"no-store\"\ncloudflare_cdn_cache_control = \"public\"",
         "t.toml:4:32: cache_control[1].cloudflare_cdn_cache_control: 5xx must be no-store, for "
         "caches would keep the "
         "error"},
        {"[[cache_control]]\nprefix = \"a/\"\ncache_control = \"max-age=1\"",
         "t.toml:3:17: cache_control[1].cache_control: a rule without status matches 5xx, which "
         "must be no-store: add a "
         "status such as [\"200\"]"},
    });
    CHECK(texts("[[cache_control]]\nstatus=['5xx']\ncache_control='No-Store'\ncdn_cache_control='"
                "no-store'" +
                kPool)
              .empty());
}

TEST_CASE("settings: what is set twice hides no other mistake", "[conf][settings]") {
    CHECK_THAT(texts(R"(
[limits]
ranges = 7
ranges = "many"
headrs = "2KiB"
[cache]
files = 0
[limits]
ranges = 9
header_fields = 0
[[pool]]
name = "hot"
name = "cold"
base_path = "uploads"
)"),
               Catch::Equals(std::vector<std::string>{
                   "t.toml:4:1: limits.ranges: is set on line 3 already: remove one of them",
                   "t.toml:5:1: limits.headrs: unknown key; did you mean \"headers\"?",
                   "t.toml:7:9: cache.files: expected a whole number from 1 to 1000000, not 0",
                   "t.toml:8:1: limits: this table stands on line 2 already, so what is here was "
                   "not looked at: write it there",
                   "t.toml:9:1: limits.ranges: is set on line 3 already: remove one of them",
                   "t.toml:13:1: pool[1].name: is set on line 12 already: remove one of them",
                   "t.toml:14:13: pool[1].base_path: expected an absolute path, such as "
                   "\"/srv/uploads\", not \"uploads\"",
               }));
}

TEST_CASE("settings: of what is set twice the first is looked at", "[conf][settings]") {
    CHECK_THAT(texts("[limits]\nranges = 999\nranges = 5" + kPool),
               Catch::Equals(std::vector<std::string>{
                   "t.toml:2:10: limits.ranges: expected a whole number from 1 to 300, not 999",
                   "t.toml:3:1: limits.ranges: is set on line 2 already: remove one of them"}));
}

TEST_CASE("settings: settings that contradict each other are found", "[conf][settings]") {
    check_single({
        {"[cache]\nmemory = \"32KiB\"",
         "t.toml:2:10: cache.memory: cache.memory_object_max (64KiB) is larger than cache.memory "
         "(32KiB)"},
        {"[cache]\nmemory_object_max = \"2MiB\"\nmemory = \"1MiB\"",
         "t.toml:2:21: cache.memory_object_max: cache.memory_object_max (2MiB) is larger than "
         "cache.memory (1MiB)"},
        {"[limits]\nheaders = \"2KiB\"",
         "t.toml:2:11: limits.headers: limits.request_line (16KiB) is larger than limits.headers "
         "(2KiB), of which it is "
         "a part"},
        {"[server]\ndrain_idle = \"60s\"\ndrain_timeout = \"1s\"",
         "t.toml:2:14: server.drain_idle: server.drain_idle (1m) is longer than "
         "server.drain_timeout (1s), after which every connection is cut"},
        {"[limits]\nconnections = 10",
         "t.toml:2:15: limits.connections: limits.connections_per_peer (256) is more than "
         "limits.connections (10): one stranger could take them all"},
        {"[timeouts]\nidle = \"20m\"",
         "t.toml:2:8: timeouts.idle: timeouts.idle (20m) is longer than timeouts.idle_edge (930s): "
         "strangers would be "
         "kept longer than the edge"},
        {"[server]\nlisten = [\"127.0.0.1:80\", \"127.0.0.1:80\"]",
         "t.toml:2:27: server.listen[2]: 127.0.0.1:80 (server.listen[2]) collides with "
         "127.0.0.1:80 "
         "(server.listen[1])"},
        {"[server]\nlisten = [\"127.0.0.1:9090\"]",
         "t.toml:2:11: server.listen[1]: 127.0.0.1:9090 (admin.listen[1]) collides with "
         "127.0.0.1:9090 "
         "(server.listen[1])"},
        {"[admin]\nlisten = [\"127.0.0.1:8080\"]",
         "t.toml:2:11: admin.listen[1]: 127.0.0.1:8080 (admin.listen[1]) collides with "
         "0.0.0.0:8080 "
         "(server.listen[1])"},
        {"[reconcile]\nquarantine_prefix = \"uploads/\"",
         "t.toml:2:21: reconcile.quarantine_prefix: all keys begin with \"uploads/\", so what is "
         "set aside needs another prefix than \"uploads/\""},
    });
    CHECK(texts("[cache]\nmemory = \"0B\"" + kPool).empty());
    CHECK(texts("[server]\nlisten = ['127.0.0.1:0', '127.0.0.1:0']" + kPool).empty());
}

TEST_CASE("settings: pools that contradict each other are found", "[conf][settings]") {
    const std::string first = "[[pool]]\nname = \"a\"\nbase_path = \"/srv/a\"\n[[pool]]\n";
    const Case cases[] = {
        {"name = \"a\"\nbase_path = \"/b\"",
         "t.toml:5:8: pool[2].name: pool 1 is called \"a\" too: names are unique"},
        {"name = \"b\"\nbase_path = \"/srv/a\"",
         "t.toml:6:13: pool[2].base_path: /srv/a is the folder of pool \"a\" (/srv/a): a file must "
         "have one home"},
        {"name = \"b\"\nbase_path = \"/srv//./a/\"",
         "t.toml:6:13: pool[2].base_path: /srv//./a/ is the folder of pool \"a\" (/srv/a): a file "
         "must have one home"},
        {"name = \"b\"\nbase_path = \"//srv/a/b\"",
         "t.toml:6:13: pool[2].base_path: //srv/a/b is inside the folder of pool \"a\" (/srv/a): a "
         "file must have one "
         "home"},
        {"name = \"b\"\nbase_path = \"/srv\"",
         "t.toml:6:13: pool[2].base_path: /srv holds the folder of pool \"a\" (/srv/a): a file "
         "must have one home"},
        {"name = \"b\"\nbase_path = \"/\"",
         "t.toml:6:13: pool[2].base_path: / holds the folder of pool \"a\" (/srv/a): a file must "
         "have one home"},
    };
    for (const auto& [second, problem] : cases) {
        INFO(second);
        CHECK_THAT(texts(first + second), Catch::Equals(std::vector<std::string>{problem}));
    }
    CHECK(texts(first + "name = 'b'\nbase_path = '/srv/ab'").empty());
    CHECK(texts("[[pool]]\nname = 'a'\nbase_path = '/a'\nis_active = false\n") ==
          std::vector<std::string>{
              "t.toml:4:13: pool[1].is_active: no pool is active: nothing could be served"});
}

TEST_CASE("settings: a mirror is another pool that serves images", "[conf][settings]") {
    const std::string two =
        "[catalog]\nurl = \"sqlite:/c.db\"\n[[pool]]\nname = 'a'\nbase_path = '/a'\n"
        "[[pool]]\nname = 'b'\nbase_path = '/b'\n";
    CHECK(texts(two + "mirror = 'a'\n").empty());
    const Case cases[] = {
        {"mirror = 'b'", "t.toml:9:10: pool[2].mirror: is the pool itself: name another one"},
        {"mirror = 'c'", "t.toml:9:10: pool[2].mirror: there is no pool \"c\" here"},
    };
    for (const auto& [setting, problem] : cases) {
        INFO(setting);
        CHECK_THAT(texts(two + setting), Catch::Equals(std::vector<std::string>{problem}));
    }
    const auto without =
        texts("[catalog]\nurl = ''\n" + two.substr(two.find("[[pool]]")) + "mirror = 'a'");
    REQUIRE(without.size() == 1);
    CHECK_THAT(without.front(), Catch::Contains("a mirror needs a catalog"));
}

TEST_CASE("settings: what is no TOML is one problem with its line and column", "[conf][settings]") {
    struct SyntaxCase {
        const char* toml;
        unsigned line;
        unsigned column;
    };
    const SyntaxCase cases[] = {
        {"[server\n", 1, 8},
        {"[server]\nthreads = 1\nthreads.x = 2\n", 3, 1},
        {"[server]\nthreads = \n", 2, 11},
        {"a = \"\xff\"\n", 1, 5},
        {"[server]\nsocket_mode = 0660\n", 2, 19},
    };
    for (const auto& [toml, line, column] : cases) {
        INFO(toml);
        const auto problems = read_settings(toml + kPool, "t.toml").problems;
        REQUIRE(problems.size() == 1);
        INFO(problems[0].text());
        CHECK(problems[0].line == line);
        CHECK(problems[0].column == column);
        CHECK_THAT(problems[0].message, Catch::StartsWith("not TOML: "));
    }
}

TEST_CASE("settings: a text that is no configuration by its size is refused", "[conf][settings]") {
    CHECK(texts(std::string(2 << 20, '\n')) ==
          std::vector<std::string>{"t.toml: is larger than 1MiB, which no configuration is"});
}

TEST_CASE("settings: all problems are told at once, by line", "[conf][settings]") {
    CHECK(texts("[server]\n"
                "threads = -1\n"
                "lsiten = []\n"
                "url_prefix = \"x\"\n"
                "[timeouts]\n"
                "header = 10\n"
                "[nonsense]\n"
                "[[pool]]\n"
                "base_path = \"rel\"\n") ==
          std::vector<std::string>{
              "t.toml:2:11: server.threads: expected a whole number from 0 to 256, not -1",
              "t.toml:3:1: server.lsiten: unknown key; did you mean \"listen\"?",
              "t.toml:4:14: server.url_prefix: expected a path that starts and ends with \"/\", "
              "such as \"/uploads/\", "
              "not \"x\"",
              "t.toml:6:10: timeouts.header: a duration is text with a unit (ms, s, m, h, d): "
              "write \"10s\"",
              "t.toml:7:2: nonsense: unknown key; known here: server, admin, limits, timeouts, "
              "workers, cache, types, "
              "edge, hotlink, rate_limits, tls, access_log, log, catalog, shelf, jobs, move, "
              "delete, purge, backup, upload, "
              "tiering, "
              "reconcile, origin, "
              "variants, private, certificate, rate_limit, profile, "
              "cache_control, pool",
              "t.toml:8:1: pool[1].name: is missing: write name = \"hot\"",
              "t.toml:9:13: pool[1].base_path: expected an absolute path, such as "
              "\"/srv/uploads\", not \"rel\"",
          });
}

TEST_CASE("settings: a wrong value does not bring up a contradiction with its default",
          "[conf][settings]") {
    check_single({
        {"[cache]\nmemory = 7\nmemory_object_max = \"16KiB\"",
         "t.toml:2:10: cache.memory: a size is text with a unit: write \"7B\""},
        {"[[pool]]\nname = 7\nbase_path = \"/a\"",
         "t.toml:2:8: pool[1].name: expected a text, not 7"},
    });
}
