#include "storage/job_policy.h"

#include <optional>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using storage::next_attempt_s;

namespace {

constexpr std::int64_t kNow = 1'700'000'000;  // 22:13:20 UTC
constexpr std::int64_t kMidnight = 1'700'006'400;

}  // namespace

TEST_CASE("job policy: what may pass is tried at growing intervals, for days", "[storage][jobs]") {
    const Error error{ErrorKind::io, "x"};
    for (const auto& [attempts, least, most] :
         std::vector<std::tuple<int, int, int>>{{1, 1, 2},
                                                {2, 2, 4},
                                                {5, 16, 32},
                                                {11, 1024, 2048},
                                                {12, 1800, 3600},
                                                {100, 1800, 3600}}) {
        CAPTURE(attempts);
        CHECK(next_attempt_s(error, attempts, kNow, 0) == kNow + least);
        CHECK(*next_attempt_s(error, attempts, kNow, 0.999) <= kNow + most);
        CHECK(*next_attempt_s(error, attempts, kNow, 0.999) >= kNow + least);
    }
    CHECK(next_attempt_s(error, 178, kNow, 0));
    CHECK_FALSE(next_attempt_s(error, 179, kNow, 0));
}

TEST_CASE("job policy: a store that asks for more time gets it", "[storage][jobs]") {
    const auto error = fail(ErrorKind::overloaded, "x", {.retry_after = std::chrono::seconds(90)});
    CHECK(next_attempt_s(error.error(), 1, kNow, 0) == kNow + 90);
}

TEST_CASE("job policy: a cap is waited for until midnight, a full disk an hour",
          "[storage][jobs]") {
    const auto capped = fail(ErrorKind::capped, "x", {.resets_daily = true});
    CHECK(next_attempt_s(capped.error(), 1, kNow, 0) == kMidnight);
    CHECK(next_attempt_s(capped.error(), 50, kNow, 0.5) == kMidnight + 300);
    CHECK(next_attempt_s({ErrorKind::capped, "x"}, 1, kNow, 0) == kNow + 3600);
    const auto not_asked = fail(ErrorKind::capped, "x", {.retry_after = std::chrono::seconds(90)});
    CHECK(next_attempt_s(not_asked.error(), 1, kNow, 0) == kNow + 90);
}

TEST_CASE("job policy: what only people can mend stops at once", "[storage][jobs]") {
    for (const ErrorKind kind :
         {ErrorKind::denied, ErrorKind::misconfigured, ErrorKind::corrupt, ErrorKind::invalid,
          ErrorKind::not_found, ErrorKind::too_large, ErrorKind::conflict})
        CHECK_FALSE(next_attempt_s({kind, "x"}, 1, kNow, 0));
}

TEST_CASE("job policy: what must not be lost comes again for ever", "[storage][jobs][purge]") {
    using storage::Patience;
    for (const ErrorKind kind : {ErrorKind::denied, ErrorKind::misconfigured}) {
        CHECK(next_attempt_s({kind, "x"}, 1, kNow, 0.5, Patience::endless) == kNow + 3600);
        CHECK(next_attempt_s({kind, "x"}, 100'000, kNow, 0.5, Patience::endless) == kNow + 3600);
    }
    CHECK(next_attempt_s({ErrorKind::io, "x"}, 1, kNow, 0, Patience::endless) == kNow + 1);
    CHECK(next_attempt_s({ErrorKind::io, "x"}, 100'000, kNow, 0, Patience::endless) == kNow + 1800);
    // What is refused for what it is stays refused.
    CHECK_FALSE(next_attempt_s({ErrorKind::invalid, "x"}, 1, kNow, 0, Patience::endless));
}
