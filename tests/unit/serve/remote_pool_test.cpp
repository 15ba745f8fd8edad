#include "proxy/serve/remote_pool.h"

#include <catch2/catch.hpp>

using tidepool::serve::RemoteObject;

TEST_CASE("remote object: what comes later is of the version that came first", "[serve]") {
    const RemoteObject object;
    CHECK(object.is_of_version("4_z1"));
    CHECK(object.is_of_version(""));
    CHECK(object.is_of_version("null"));
    CHECK(object.is_of_version("4_z1"));
    CHECK_FALSE(object.is_of_version("4_z2"));
}

TEST_CASE("remote object: it is of the version that its row names", "[serve]") {
    RemoteObject object;
    object.version_id = "4_z1";
    CHECK_FALSE(object.is_of_version("4_z2"));
    CHECK(object.is_of_version("4_z1"));
}
