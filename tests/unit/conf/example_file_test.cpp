// conf/tidepool.toml is the manual of the settings; these tests keep it true.
#include "conf/settings_reader.h"
#include "conf/settings_schema.h"

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

const std::string kExample = std::string(TIDEPOOL_SOURCE_DIR) + "/conf/tidepool.toml";

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    REQUIRE(file);
    return {std::istreambuf_iterator<char>(file), {}};
}
std::string example_text() {
    return text_of(kExample);
}

// The example with its commented-out tables as such.
std::string with_rules() {
    const std::regex commented(
        "(^|\n)# (\\[\\[(?:cache_control|certificate|profile|rate_limit)\\]\\]|[a-z0-9_]+ = "
        "[\\[\"a-z0-9])");
    std::string text = example_text();
    // Twice, for two lines in a row share the line feed between them.
    for (int i = 0; i < 2; ++i)
        text = std::regex_replace(text, commented, "$1$2");
    return text;
}

// "server.listen", "pool.name", ...: every key that a text sets.
std::set<std::string> keys_in(const std::string& text) {
    std::set<std::string> keys;
    std::string section;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (std::regex_search(line, match, std::regex("^\\[+([a-z_]+)\\]+"))) section = match[1];
        if (std::regex_search(line, match, std::regex("^([a-z0-9_]+) = ")))
            keys.insert(section + "." + match[1].str());
    }
    return keys;
}

std::set<std::string> known_keys() {
    std::set<std::string> keys;
    for (const SectionSchema& section : settings_schema()) {
        for (const auto key : section.keys)
            keys.insert(std::string(section.name) + "." + std::string(key));
    }
    return keys;
}

Settings expected_settings() {
    Settings expected;
    PoolSettings pool;
    pool.name = "hot";
    pool.base_path = "/srv/uploads";
    expected.pools.push_back(pool);
    return expected;
}

}  // namespace

TEST_CASE("example file: it is right and says the built-in defaults", "[conf][settings]") {
    const ReadSettings read = read_settings_file(kExample);
    for (const Problem& problem : read.problems)
        FAIL_CHECK(problem.text());
    CHECK(read.settings == expected_settings());
}

TEST_CASE("example file: its commented-out rules are the default rules", "[conf][settings]") {
    const ReadSettings read = read_settings(with_rules(), "with_rules");
    for (const Problem& problem : read.problems)
        FAIL_CHECK(problem.text());
    const auto defaults = default_cache_control();
    REQUIRE(read.settings.cache_control.size() == 2 * defaults.size());
    const auto shown_end =
        read.settings.cache_control.begin() + static_cast<std::ptrdiff_t>(defaults.size());
    CHECK(std::vector(read.settings.cache_control.begin(), shown_end) == defaults);
}

TEST_CASE("example file: its commented-out profiles are the default profiles, and one more",
          "[conf][settings]") {
    const ReadSettings read = read_settings(with_rules(), "with_rules");
    auto expected = default_profiles();
    VariantProfile with_every_key;
    with_every_key.name = "large";
    expected.push_back(with_every_key);
    CHECK(read.settings.profiles == expected);
}

TEST_CASE("example file: it has every key that the reader knows", "[conf][settings]") {
    CHECK(known_keys().size() > 50);
    CHECK(keys_in(with_rules()) == known_keys());
}

TEST_CASE("example file: a sentence stands before every key", "[conf][settings]") {
    std::istringstream lines(example_text());
    std::string before;
    const std::regex starts_key("^[a-z0-9_]+ = ");
    for (std::string line; std::getline(lines, line); before = line) {
        INFO(line);
        if (std::regex_search(line, starts_key)) CHECK_THAT(before, Catch::StartsWith("# "));
    }
}

TEST_CASE("readme: the reference has every key and its default", "[conf][settings]") {
    const std::string readme = text_of(std::string(TIDEPOOL_SOURCE_DIR) + "/README.md");
    for (const std::string& key : known_keys()) {
        CAPTURE(key);
        CHECK(readme.find("| `" + key + "` | ") != std::string::npos);
    }
    std::istringstream lines(example_text());
    std::string section;
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (std::regex_search(line, match, std::regex("^\\[+([a-z_]+)\\]+"))) section = match[1];
        if (!std::regex_match(line, match, std::regex("([a-z0-9_]+) = (.*[^\\[])"))) continue;
        if (section == "pool" && (match[1] == "name" || match[1] == "base_path")) continue;
        const std::string row =
            "| `" + section + "." + match[1].str() + "` | `" + match[2].str() + "` | ";
        CAPTURE(row);
        CHECK(readme.find(row) != std::string::npos);
    }
}

TEST_CASE("systemd unit: it gives a place to all that the defaults and the manual name",
          "[conf][settings]") {
    const std::string unit =
        text_of(std::string(TIDEPOOL_SOURCE_DIR) + "/conf/systemd/tidepool.service");
    const Settings defaults;
    const std::string url = defaults.catalog.url;
    REQUIRE(url.starts_with("sqlite:/"));
    const std::pair<std::string, std::string> places[] = {
        {url.substr(url.find('/')), "StateDirectory"},
        {defaults.upload.spool_path, "StateDirectory"},
        {defaults.shelf.path, "CacheDirectory"},
        {"/var/log/tidepool/access.log", "LogsDirectory"},
    };
    const std::regex first_folders("/var/(?:lib|cache|log)/([^/]+)(?:/.*)?");
    for (const auto& [path, line] : places) {
        CAPTURE(path);
        std::smatch match;
        REQUIRE(std::regex_match(path, match, first_folders));
        CHECK(unit.find("\n" + line + "=" + match[1].str() + "\n") != std::string::npos);
    }
}

TEST_CASE("systemd unit: nothing but a wrong configuration keeps it from being started again",
          "[conf][settings]") {
    const std::string unit =
        text_of(std::string(TIDEPOOL_SOURCE_DIR) + "/conf/systemd/tidepool.service");
    for (const char* const line :
         {"StartLimitIntervalSec=0", "Restart=on-failure", "RestartPreventExitStatus=2"}) {
        CAPTURE(line);
        CHECK(unit.find("\n" + std::string(line) + "\n") != std::string::npos);
    }
    // A pool that is away, or hangs, would hold up whoever asks before the start.
    CHECK(unit.find("\nExecStartPre=") == std::string::npos);
}
