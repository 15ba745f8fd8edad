#include "proxy/serve/zone_rulesets.h"

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;

TEST_CASE("zone rulesets: what the API says of a phase", "[serve]") {
    const auto read = parse_phase_rules(
        R"({"success":true,"result":{"id":"x","version":"7","rules":[{"id":"1"},{"id":"2"}]}})");
    REQUIRE(read);
    CHECK(read->version == "7");
    CHECK(read->rules.dump() == R"([{"id":"1"},{"id":"2"}])");
    // One whose last rule was removed has none.
    CHECK(parse_phase_rules(R"({"result":{"version":"8"}})")->rules.empty());
    CHECK(parse_phase_rules(R"({"result":{"version":"8","rules":null}})")->rules.empty());
    for (const char* wrong : {"", "[]", "{}", R"({"result":null})", R"({"result":{"rules":{}}})",
                              R"({"result":{"rules":["x"]}})"}) {
        INFO(wrong);
        const auto failed = parse_phase_rules(wrong);
        REQUIRE_FALSE(failed);
        CHECK(failed.error().kind == ErrorKind::io);
    }
}

TEST_CASE("zone rulesets: a phase without rules is not a zone that there is not", "[serve]") {
    CHECK(has_no_ruleset(404, R"({"success":false,"errors":[{"code":10003,"message":"could not )"
                              R"(find entrypoint ruleset"}]})"));
    CHECK_FALSE(has_no_ruleset(404, R"({"success":false,"errors":[{"code":7003}]})"));
    CHECK_FALSE(has_no_ruleset(404, "<html>not found</html>"));
    CHECK_FALSE(has_no_ruleset(403, R"({"success":false,"errors":[{"code":10003}]})"));
}
