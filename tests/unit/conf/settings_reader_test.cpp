#include "conf/settings_reader.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::conf;
using namespace std::chrono_literals;

namespace {

const std::string kPool = "[[pool]]\nname = \"hot\"\nbase_path = \"/srv/uploads\"\n";

Settings read_right(const std::string& text) {
    ReadSettings read = read_settings(text, "t.toml");
    for (const Problem& problem : read.problems)
        FAIL_CHECK(problem.text());
    return read.settings;
}

}  // namespace

TEST_CASE("settings: a file with one pool is the defaults and that pool", "[conf][settings]") {
    Settings expected;
    PoolSettings pool;
    pool.name = "hot";
    pool.base_path = "/srv/uploads";
    expected.pools.push_back(pool);
    CHECK(read_right(kPool) == expected);
}

TEST_CASE("settings: every key of every section is read", "[conf][settings]") {
    const Settings settings = read_right(R"(
[server]
listen = ["127.0.0.1:1", "[::1]:2", "unix:/run/t.sock"]
threads = 3
socket_mode = "0600"
backlog = 7
url_prefix = "/files/"
drain_timeout = "1m"
drain_idle = "1s"
[admin]
listen = []
[limits]
request_line = "8KiB"
headers = "32KiB"
header_fields = 50
discard_body = "0"
ranges = 5
connections = 20
connections_per_peer = 11
connections_per_edge_peer = 12
[timeouts]
header = "1s"
idle = "2s"
idle_edge = "3s"
min_send_rate = "0B"
send_window = "4s"
min_receive_rate = "7B"
receive_window = "6s"
linger = "0s"
[workers]
threads_per_pool = 9
queue = 8
[cache]
memory = "1MiB"
memory_object_max = "1KiB"
files = 1
absent = 3
digests = 4
freshness = "5s"
[types]
allowed = ["image/*", "video/mp4"]
[edge]
trusted_ranges = ["10.0.0.0/8", "::1"]
client_address_header = "X-Real-IP"
[access_log]
path = "/var/log/tidepool.log"
format = "combined"
buffer = "16KiB"
flush_interval = "10ms"
[log]
level = "debug"
[[pool]]
name = "nfs-1"
storage_type = "nfs"
storage_tier = "archive"
base_path = "/mnt/nfs"
marker = ".mounted"
priority = 0
is_active = true
debug_disk_delay = "50ms"
)");
    using Family = ListenAddress::Family;
    CHECK(settings.server.listen ==
          std::vector<ListenAddress>{{Family::inet4, "127.0.0.1", 1},
                                     {Family::inet6, "::1", 2},
                                     {Family::unix_path, "/run/t.sock", 0}});
    CHECK(settings.server.threads == 3);
    CHECK(settings.server.socket_mode == 0600);
    CHECK(settings.server.backlog == 7);
    CHECK(settings.server.url_prefix == "/files/");
    CHECK(settings.server.drain_timeout == 60s);
    CHECK(settings.server.drain_idle == 1s);
    CHECK(settings.admin.listen.empty());
    CHECK(settings.limits == LimitSettings{8192, 32768, 50, 0, 5, 20, 11, 12});
    CHECK(settings.timeouts == TimeoutSettings{1s, 2s, 3s, 0, 4s, 7, 6s, 0s});
    CHECK(settings.workers == WorkerSettings{9, 8});
    CHECK(settings.cache == CacheSettings{1 << 20, 1024, 1, 3, 4, 5s});
    CHECK(settings.types.allowed == std::vector<std::string>{"image/*", "video/mp4"});
    CHECK(settings.edge.trusted_ranges ==
          std::vector<Cidr>{Cidr::parse("10.0.0.0/8").value(), Cidr::parse("::1").value()});
    CHECK(settings.edge.client_address_header == "X-Real-IP");
    CHECK(settings.access_log == AccessLogSettings{"/var/log/tidepool.log",
                                                   AccessLogSettings::Format::combined, 16384,
                                                   10ms});
    CHECK(settings.log.level == LogSettings::Level::debug);
    REQUIRE(settings.pools.size() == 1);
    PoolSettings pool;
    pool.name = "nfs-1";
    pool.storage_type = PoolSettings::Type::nfs;
    pool.storage_tier = PoolSettings::Tier::archive;
    pool.base_path = "/mnt/nfs";
    pool.marker = ".mounted";
    pool.priority = 0;
    pool.debug_disk_delay = 50ms;
    CHECK(settings.pools[0] == pool);
}

TEST_CASE("settings: a file's cache_control rules go before the defaults", "[conf][settings]") {
    const Settings settings = read_right(kPool + R"(
[[cache_control]]
prefix = "thumbs/"
status = ["200", "4xx"]
content_type = "image/*"
uuid_named = true
cache_control = "public, max-age=5"
cdn_cache_control = "max-age=6"
cloudflare_cdn_cache_control = "max-age=7"
[[cache_control]]
cache_control = "no-store"
)");
    const CacheControlRule first{"thumbs/",           {"200", "4xx"}, "image/*",  true,
                                 "public, max-age=5", "max-age=6",    "max-age=7"};
    const CacheControlRule second{"", {}, "", false, "no-store", "", ""};
    std::vector<CacheControlRule> expected{first, second};
    for (const CacheControlRule& rule : default_cache_control())
        expected.push_back(rule);
    CHECK(settings.cache_control == expected);
}

TEST_CASE("settings: the default rules end errors first and every answer last",
          "[conf][settings]") {
    const auto rules = default_cache_control();
    REQUIRE(rules.size() == 6);
    CHECK(rules[0] == CacheControlRule{"", {"5xx"}, "", false, "no-store", "", ""});
    CHECK(rules[1] ==
          CacheControlRule{"",
                           {"200"},
                           "",
                           true,
                           "public, max-age=31536000, immutable",
                           "",
                           "max-age=2592000, stale-while-revalidate=86400, stale-if-error=604800"});
    CHECK(rules[2] == CacheControlRule{"", {"200"}, "", false, "public, max-age=300", "", ""});
    CHECK(rules[3] == CacheControlRule{"", {"302"}, "", false, "public, max-age=300", "", ""});
    CHECK(rules[4] ==
          CacheControlRule{"", {"404", "410"}, "", false, "public, max-age=60", "", ""});
    CHECK(rules[5] == CacheControlRule{"", {}, "", false, "no-store", "", ""});
}

TEST_CASE("settings: the text may have a byte order mark, CRLF and dotted keys",
          "[conf][settings]") {
    CHECK(read_right("\xef\xbb\xbf" + kPool).pools.size() == 1);
    CHECK(read_right("server.threads = 2\r\n[[pool]]\r\nname = 'a'\r\nbase_path = '/a'\r\n")
              .server.threads == 2);
    CHECK(read_right("pool = [{ name = 'a', base_path = '/a' }]").pools[0].name == "a");
}

TEST_CASE("settings: values at both ends of a range are right", "[conf][settings]") {
    for (const char* text :
         {"[server]\nthreads = 0", "[server]\nthreads = 256", "[server]\nbacklog = 65535",
          "[limits]\nrequest_line = \"256B\"", "[limits]\nheaders = \"1MiB\"",
          "[limits]\nheader_fields = 8", "[timeouts]\nheader = \"100ms\"",
          "[timeouts]\nheader = \"5m\"", "[timeouts]\nidle_edge = \"1h\"",
          "[cache]\nmemory = \"1TiB\"", "[cache]\nmemory = \"0\"", "[cache]\ndigests = 100000000",
          "[server]\nsocket_mode = \"777\"", "[access_log]\npath = \"-\"",
          "[types]\nallowed = [\"*\"]"}) {
        INFO(text);
        CHECK(read_settings(kPool + text, "t").problems.empty());
    }
}

TEST_CASE("settings: a file that is not there is one problem that names it", "[conf][settings]") {
    const auto problems = read_settings_file("/nonexistent/tidepool.toml").problems;
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].text() ==
          "/nonexistent/tidepool.toml: open /nonexistent/tidepool.toml: No such file or directory");
    CHECK(read_settings_file("/").problems.size() == 1);
    CHECK(read_settings_file("/dev/zero").problems.size() == 1);
}

TEST_CASE("settings: what the command line made is checked too", "[conf][settings]") {
    Settings settings;
    CHECK(check_settings(settings).at(0).text() ==
          "pool: there is no pool: add a [[pool]] with name and base_path");
    settings.pools.emplace_back();
    settings.pools[0].name = "root";
    settings.pools[0].base_path = "/srv";
    CHECK(check_settings(settings).empty());

    settings.pools[0].base_path = "srv";
    settings.server.listen = {{ListenAddress::Family::inet4, "127.0.0.1", 9090}};
    settings.server.threads = 1000;
    settings.cache_control[0].cache_control = "public";
    std::vector<std::string> keys;
    for (const Problem& problem : check_settings(settings))
        keys.push_back(problem.key);
    CHECK(keys == std::vector<std::string>{"server.threads", "pool[1].base_path", "admin.listen[1]",
                                           "cache_control[1].cache_control"});
}
