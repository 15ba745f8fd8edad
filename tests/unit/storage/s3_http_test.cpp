#include "storage/s3_http.h"

#include "storage/s3_driver.h"
#include "storage/store_gate.h"
#include "tests/support/stub_origin.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using test::StubOrigin;

TEST_CASE("s3 http: what is not HTTP is a broken connection", "[storage][s3]") {
    for (const std::string said : {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "\r\n\r\n", "HTTP/9.9 \r\n\r\n",
                                   "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"}) {
        CAPTURE(said);
        const StubOrigin origin([&](const StubOrigin::Request&, StubOrigin::Line& line) {
            line.say(said);
            line.cut();
        });
        S3Http http(HttpLimits{});
        const auto answer = http.perform({.method = "GET", .url = origin.url()}, {});
        REQUIRE_FALSE(answer);
        CHECK(answer.error().fault == TransportFault::cut);
        CHECK(failure_of(StoreCall{}, answer.error().fault, "").next != NextTry::never);
    }
}

TEST_CASE("s3 client: each try waits for its turn", "[storage][s3]") {
    conf::PoolSettings settings;
    settings.name = "cold";
    settings.storage_type = conf::PoolSettings::Type::s3;
    settings.bucket = "images";
    settings.region = "us-west-001";
    settings.endpoint_url = "http://127.0.0.1:1";  // nobody listens there
    int turns = 0;
    S3Limits limits;
    limits.retry.tries = 3;
    limits.wait = [](std::chrono::milliseconds) {};
    limits.pace = [&turns] { ++turns; };
    S3Driver driver(settings, std::make_shared<StoreGate>(settings), limits);
    CHECK_FALSE(driver.head("a.jpg"));
    CHECK(turns == 3);
    CHECK_FALSE(driver.remove("a.jpg"));
    CHECK(turns == 6);
}
