#include "conf/small_file.h"
#include "conf/trusted_ranges.h"
#include "tests/support/folder.h"

#include <algorithm>
#include <filesystem>
#include <string>

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::conf;
using tidepool::test::Folder;

namespace {

mode_t mode_of(const std::string& path) {
    struct stat status{};
    REQUIRE(stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

auto files_in(const Folder& folder) {
    return std::distance(std::filesystem::directory_iterator(folder.path(".")), {});
}

}  // namespace

TEST_CASE("replace file: a new one, and one that was there with its rights", "[conf][files]") {
    const Folder folder;
    const std::string path = folder.path("ranges");
    REQUIRE(replace_small_file(path, "one\n"));
    CHECK(folder.read("ranges") == "one\n");
    CHECK(mode_of(path) == 0644);
    REQUIRE(chmod(path.c_str(), 0640) == 0);
    std::filesystem::create_hard_link(path, folder.path("reader"));
    REQUIRE(replace_small_file(path, ""));
    CHECK(folder.read("ranges").empty());
    CHECK(mode_of(path) == 0640);
    CHECK(folder.read("reader") == "one\n");  // replaced, not written over
    CHECK(files_in(folder) == 2);
}

TEST_CASE("replace file: a link stays one", "[conf][files]") {
    const Folder folder;
    folder.write("real", "old");
    folder.link("ranges", "real");
    REQUIRE(replace_small_file(folder.path("ranges"), "new"));
    CHECK(folder.read("real") == "new");
    CHECK(std::filesystem::is_symlink(folder.path("ranges")));
}

TEST_CASE("replace file: what cannot be replaced stays, and nothing beside it", "[conf][files]") {
    const Folder folder;
    folder.make("folder");
    const auto over_folder = replace_small_file(folder.path("folder"), "x");
    REQUIRE_FALSE(over_folder);
    CHECK(over_folder.error().kind == ErrorKind::denied);
    const auto nowhere = replace_small_file(folder.path("none/ranges"), "x");
    REQUIRE_FALSE(nowhere);
    CHECK(nowhere.error().kind == ErrorKind::not_found);
    CHECK_FALSE(replace_small_file(std::string("a\0b", 3), "x"));
    CHECK(files_in(folder) == 1);
}

TEST_CASE("trusted ranges: which file a configuration names", "[conf][edge]") {
    const Folder folder;
    const auto found = [&](const std::string& text) {
        return find_ranges_file(folder.write("t.toml", text));
    };
    // It need not be there, and the rest may be wrong.
    CHECK(*found("[edge]\ntrusted_ranges = \"file:/none/at-all\"\n[nonsense]\n") == "/none/at-all");
    for (const char* text : {"", "[edge]\n", "[edge]\ntrusted_ranges = \"cloudflare\"\n",
                             "[edge]\ntrusted_ranges = [\"file:/a\"]\n",
                             "[edge]\ntrusted_ranges = \"file:a\"\n", "[edge\n"}) {
        CAPTURE(text);
        const auto none = found(text);
        REQUIRE_FALSE(none);
        CHECK(none.error().kind == ErrorKind::invalid);
    }
    CHECK(find_ranges_file(folder.path("none")).error().kind == ErrorKind::not_found);
}
