#include "conf/small_file.h"
#include "tests/support/folder.h"

#include <filesystem>
#include <string>

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::conf;
using tidepool::test::Folder;

namespace {

std::string why_not(const std::string& path) {
    const auto writable = may_write(path);
    return writable ? "" : writable.error().text;
}

}  // namespace

TEST_CASE("may write: a file that is there or can be made, with the last folder", "[conf][files]") {
    const Folder folder;
    CHECK(why_not(folder.write("there", "text")).empty());
    CHECK(why_not(folder.path("new")).empty());
    CHECK(why_not(folder.path("new/new")).empty());
    CHECK(folder.read("there") == "text");
    CHECK_FALSE(std::filesystem::exists(folder.path("new")));

    CHECK_THAT(why_not(folder.path("new/new/new")), Catch::Contains("new/new/new"));
    CHECK_THAT(why_not(folder.path("there/new")), Catch::Contains("there/new"));
    folder.make("folder");
    CHECK_THAT(why_not(folder.path("folder")), Catch::Contains("directory"));
}

TEST_CASE("may write: rights are asked for", "[conf][files]") {
    if (geteuid() == 0) return;  // who may write everything
    const Folder folder;
    const std::string file = folder.write("file", "");
    REQUIRE(chmod(file.c_str(), 0400) == 0);
    CHECK_THAT(why_not(file), Catch::Contains("ermission denied"));
    folder.make("closed");
    REQUIRE(chmod(folder.path("closed").c_str(), 0500) == 0);
    CHECK_THAT(why_not(folder.path("closed/new")), Catch::Contains("ermission denied"));
    CHECK_THAT(why_not(folder.path("closed/new/new")), Catch::Contains("ermission denied"));
}
