// [private]: what a configuration must have that hides images (contracts: b2-s3.md 10).
#include "conf/settings_reader.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <stdlib.h>

using namespace tidepool::conf;

namespace {

const std::string kPool = "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv/uploads\"\n";
const std::string kKey = "signing_key = \"env:TIDEPOOL_TEST_PRIVATE\"\n";

ReadSettings read(const std::string& toml, const std::string& more = "") {
    setenv("TIDEPOOL_TEST_PRIVATE", "0123456789abcdef", 1);       // NOLINT(concurrency-mt-unsafe)
    setenv("TIDEPOOL_TEST_PRIVATE_SHORT", "0123456789abcde", 1);  // NOLINT(concurrency-mt-unsafe)
    return read_settings("[private]\n" + toml + kPool + more, "t.toml");
}

std::vector<std::string> problems(const std::string& toml, const std::string& more = "") {
    std::vector<std::string> all;
    for (const Problem& problem : read(toml, more).problems)
        all.push_back(problem.key + ": " + problem.message);
    return all;
}

using Texts = std::vector<std::string>;
const std::string kNoKey =
    "there is no key, so nobody could sign a URL: write private.signing_key = "
    "\"file:/etc/tidepool/private.key\"";

}  // namespace

TEST_CASE("private settings: all of them", "[conf][private]") {
    const ReadSettings loaded =
        read(kKey +
                 "signing_key_previous = \"env:TIDEPOOL_TEST_PRIVATE\"\nprefixes = "
                 "[\"uploads/private/\"]\nttl = \"6h\"\nquantum = \"3h\"\nedge_checks = true\n",
             "visibility = \"private\"\n");
    REQUIRE(loaded.problems.empty());
    const PrivateSettings& settings = loaded.settings.private_images;
    CHECK(settings.prefixes == Texts{"uploads/private/"});
    CHECK(settings.signing_key.reveal() == "0123456789abcdef");
    CHECK(settings.signing_key_previous.source() == "env:TIDEPOOL_TEST_PRIVATE");
    CHECK(settings.ttl == std::chrono::hours(6));
    CHECK(settings.quantum == std::chrono::hours(3));
    CHECK(settings.edge_checks);
    CHECK(loaded.settings.pools[0].is_private());
    CHECK_FALSE(Settings().private_images.edge_checks);
}

TEST_CASE("private settings: nothing is private that nobody could open", "[conf][private]") {
    CHECK(problems("prefixes = [\"uploads/private/\"]") == Texts{"private.prefixes: " + kNoKey});
    CHECK(problems("", "visibility = \"private\"\n") == Texts{"pool[1].visibility: " + kNoKey});
    CHECK(problems("signing_key_previous = \"env:TIDEPOOL_TEST_PRIVATE\"") ==
          Texts{"private.signing_key_previous: " + kNoKey});
    CHECK(problems("").empty());
    CHECK(problems("", "visibility = \"public\"\n").empty());
}

TEST_CASE("private settings: what is wrong with them", "[conf][private]") {
    CHECK(problems("signing_key = \"env:TIDEPOOL_TEST_PRIVATE_SHORT\"") ==
          Texts{"private.signing_key: has 15 bytes, which can be guessed: expected at least 16"});
    CHECK(problems(kKey + "ttl = \"1h\"\nquantum = \"31m\"") ==
          Texts{"private.quantum: private.quantum (31m) is more than half of private.ttl (1h): a "
                "new signature could be all but over"});
    CHECK(problems(kKey + "ttl = \"1h\"\nquantum = \"30m\"").empty());
    CHECK(problems(kKey + "prefixes = [\"private/\"]") ==
          Texts{"private.prefixes[1]: all keys begin with \"uploads/\", so nothing is below "
                "\"private/\": write \"uploads/private/\""});
    CHECK(problems(kKey + "prefixes = [\"/uploads/private/\"]").size() == 1);
    // In a bucket there may be other keys.
    const std::string bucket =
        "[[pool]]\nname = \"cold\"\nstorage_type = \"s3\"\nbucket = \"images\"\nregion = "
        "\"r\"\nendpoint_url = \"https://s3.example\"\naccess_key_id = \"id\"\nsecret_access_key = "
        "\"env:TIDEPOOL_TEST_PRIVATE\"\n";
    CHECK(problems(kKey + "prefixes = [\"private/\"]", bucket).empty());
    // One that is private sends nobody to a public place, and needs none.
    const std::string redirect = bucket + "serve = \"redirect\"\n";
    CHECK(problems(kKey, redirect).size() == 1);
    CHECK(problems(kKey, redirect + "visibility = \"private\"\n").empty());
    CHECK(problems(kKey, redirect + "visibility = \"private\"\norigin = \"friendly\"\n"
                                    "download_authorization = true\n")
              .empty());
}
