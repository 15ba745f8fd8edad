// Keys and salts of signed paths (contracts: b2-s3.md 10).
#include "conf/settings_reader.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <stdlib.h>

using namespace tidepool::conf;

namespace {

const std::string kPool = "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv/uploads\"\n";

ReadSettings read(const std::string& toml) {
    const std::pair<const char*, const char*> variables[] = {
        {"TIDEPOOL_TEST_KEY", "000102030405060708090a0b0c0d0e0F"},
        {"TIDEPOOL_TEST_SHORT", "000102030405060708090a0b0c0d0e"},
        {"TIDEPOOL_TEST_ODD", "000102030405060708090a0b0c0d0e0f1"},
        {"TIDEPOOL_TEST_WORDS", "a very secret phrase, not in hex"},
        {"TIDEPOOL_TEST_SALT", "5a"},
    };
    for (const auto& [name, value] : variables)
        setenv(name, value, 1);  // NOLINT(concurrency-mt-unsafe)
    return read_settings("[variants]\n" + toml + kPool, "t.toml");
}

std::vector<std::string> problems(const std::string& toml) {
    std::vector<std::string> all;
    for (const Problem& problem : read(toml).problems)
        all.push_back(problem.key + ": " + problem.message);
    return all;
}

// As the only key, beside a salt.
void check_key(const std::string& key, const std::string& problem) {
    CAPTURE(key);
    CHECK(problems("signing_keys = [" + key + "]\nsigning_salts = ['env:TIDEPOOL_TEST_SALT']") ==
          std::vector<std::string>{problem});
}

}  // namespace

TEST_CASE("settings of signed paths: they come in pairs", "[conf][settings]") {
    const auto one = read(
        "signing_keys = ['env:TIDEPOOL_TEST_KEY']\nsigning_salts = ['env:TIDEPOOL_TEST_SALT']");
    CHECK(one.problems.empty());
    REQUIRE(one.settings.variants.signing_keys.size() == 1);
    CHECK(one.settings.variants.signing_keys[0].source() == "env:TIDEPOOL_TEST_KEY");
    CHECK(one.settings.variants.signing_salts[0].reveal() == "5a");
    CHECK(problems("signing_keys = []\nsigning_salts = []").empty());
    CHECK(problems("signing_keys = ['env:TIDEPOOL_TEST_KEY']") ==
          std::vector<std::string>{"variants.signing_keys: there are 0 salts for 1 keys: each key "
                                   "has one of its own"});
    CHECK(problems("signing_salts = ['env:TIDEPOOL_TEST_SALT', 'env:TIDEPOOL_TEST_SALT']\n"
                   "signing_keys = ['env:TIDEPOOL_TEST_KEY']") ==
          std::vector<std::string>{"variants.signing_salts: there are 2 salts for 1 keys: each key "
                                   "has one of its own"});
}

TEST_CASE("settings of signed paths: a wrong one is named and never shown", "[conf][settings]") {
    check_key("'env:TIDEPOOL_TEST_SHORT'",
              "variants.signing_keys[1]: has 15 bytes, which is too short: expected at least 16");
    check_key("'env:TIDEPOOL_TEST_ODD'",
              "variants.signing_keys[1]: is not written in pairs of hex digits");
    check_key("'env:TIDEPOOL_TEST_WORDS'",
              "variants.signing_keys[1]: is not written in pairs of hex digits");
    check_key("'000102030405060708090a0b0c0d0e0f'",
              "variants.signing_keys[1]: expected \"env:NAME\" or \"file:/PATH\"");
    check_key("''", "variants.signing_keys[1]: expected \"env:NAME\" or \"file:/PATH\"");
    check_key("7", "variants.signing_keys[1]: expected \"env:NAME\" or \"file:/PATH\"");
    check_key("'env:TIDEPOOL_TEST_NONE'",
              "variants.signing_keys[1]: the environment has no variable \"TIDEPOOL_TEST_NONE\"");
    CHECK(problems("signing_keys = 'env:TIDEPOOL_TEST_KEY'") ==
          std::vector<std::string>{
              "variants.signing_keys: expected a list of \"env:NAME\" or \"file:/PATH\""});
    CHECK(problems("signature_bytes = 7") ==
          std::vector<std::string>{
              "variants.signature_bytes: expected a whole number from 8 to 32, not 7"});
}
