// [upload].
#include "conf/settings_reader.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

ReadSettings read_upload(const std::string& lines) {
    return read_settings(
        "[upload]\n" + lines + "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv/uploads\"\n",
        "t.toml");
}

std::string upload_problem(const std::string& lines) {
    CAPTURE(lines);
    const ReadSettings result = read_upload(lines);
    REQUIRE(result.problems.size() == 1);
    return result.problems.front().key + ": " + result.problems.front().message;
}

}  // namespace

TEST_CASE("settings: what uploads may take of the spool", "[conf][settings]") {
    const UploadSettings usual = read_upload("").settings.upload;
    CHECK(usual.spool_size_bytes == 20ULL << 30U);
    CHECK(usual.spool_min_free_bytes == 1ULL << 30U);
    CHECK(usual.resumable_per_owner == 100);
    const ReadSettings changed = read_upload(
        "spool_size = \"2MiB\"\nspool_min_free = \"0B\"\nresumable_per_owner = 0\n"
        "max_size = \"2MiB\"");
    CHECK(changed.problems.empty());
    CHECK(changed.settings.upload.spool_size_bytes == 2ULL << 20U);
    CHECK(changed.settings.upload.spool_min_free_bytes == 0);
    CHECK(changed.settings.upload.resumable_per_owner == 0);
    CHECK_THAT(upload_problem("spool_size = \"99MiB\""),
               Catch::StartsWith("upload.spool_size: ") && Catch::Contains("upload.max_size"));
    CHECK_THAT(upload_problem("spool_size = \"1KiB\"\nmax_size = \"1KiB\""),
               Catch::StartsWith("upload.spool_size: "));
    CHECK_THAT(upload_problem("spool_min_free = \"lots\""),
               Catch::StartsWith("upload.spool_min_free: "));
    CHECK_THAT(upload_problem("resumable_per_owner = 1000001"),
               Catch::StartsWith("upload.resumable_per_owner: "));
}
