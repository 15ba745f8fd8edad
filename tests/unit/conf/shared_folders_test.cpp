#include "conf/shared_folders.h"

#include "tests/support/folder.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;

namespace {

std::vector<std::string> found(const std::vector<std::string>& paths) {
    conf::Settings settings;
    for (const std::string& path : paths) {
        conf::PoolSettings pool;
        pool.name = "p" + std::to_string(settings.pools.size() + 1);
        pool.base_path = path;
        settings.pools.push_back(pool);
    }
    std::vector<std::string> texts;
    for (const conf::Finding& finding : conf::find_shared_folders(settings))
        texts.push_back(finding.keys.front() + ": " + finding.message);
    return texts;
}

}  // namespace

TEST_CASE("shared folders: one folder under two names, and one inside another", "[conf]") {
    const test::Folder folder;
    folder.make("hot/day");
    folder.make("hotter");
    folder.link("same", folder.path("hot"));
    folder.link("inside", folder.path("hot/day"));
    folder.link("round", "same");
    const std::string hot = folder.path("hot");
    CHECK(found({hot, folder.path("hotter"), folder.path("none"), ""}).empty());
    for (const char* name : {"same", "round", "hotter/../hot", "inside/.."}) {
        CAPTURE(name);
        const auto texts = found({hot, folder.path(name)});
        REQUIRE(texts.size() == 1);
        CHECK_THAT(texts.front(), Catch::StartsWith("pool[2].base_path: ") &&
                                      Catch::Contains("is by another name the folder of pool") &&
                                      Catch::Contains("\"p1\" (" + hot + ")"));
    }
    CHECK_THAT(found({hot, folder.path("inside")}).at(0), Catch::Contains("leads into the folder"));
    CHECK_THAT(found({folder.path("inside"), hot}).at(0), Catch::Contains("holds the folder"));
    CHECK(found({"", folder.path("same"), "/nowhere", hot, folder.path("inside")}).size() == 3);
}
