#include "proxy/serve/memory_file.h"

#include "transform/worker_channel.h"

#include <string>

#include <catch2/catch.hpp>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::serve;

TEST_CASE("memory file: what was written can be read and not be changed", "[serve]") {
    MemoryFile file;
    REQUIRE(file.append("an "));
    REQUIRE(file.append("original"));
    const auto finished = file.finish();
    REQUIRE(finished);
    CHECK((*finished)->identity().size == 11);
    std::string content(11, '\0');
    REQUIRE((*finished)->read(0, content));
    CHECK(content == "an original");
    // As a worker would that was given it.
    CHECK(transform::is_sealed_file((*finished)->fd(), 11));
    CHECK(pwrite((*finished)->fd(), "x", 1, 0) < 0);
    CHECK(ftruncate((*finished)->fd(), 20) < 0);
}
