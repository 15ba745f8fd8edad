#include "conf/purge_advice.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

using By = PurgeSettings::By;
using Keys = std::vector<std::string>;

Settings with_zone(By by) {
    Settings settings;
    settings.purge.zone_id = "0123456789abcdef0123456789abcdef";
    settings.purge.hosts = {"https://images.example"};
    settings.purge.by = by;
    return settings;
}

Keys doubtful(const Settings& settings) {
    Keys keys;
    for (const Finding& finding : find_doubtful_purges(settings))
        keys.push_back(finding.keys.front());
    return keys;
}

}  // namespace

TEST_CASE("purge advice: signed URLs that the edge keeps are reached by tags alone",
          "[conf][purge]") {
    for (const By by : {By::automatic, By::urls, By::tags, By::both}) {
        Settings settings = with_zone(by);
        settings.private_images.signing_key = Secret("", "a key of sixteen bytes");
        CHECK(doubtful(settings).empty());
        settings.private_images.edge_checks = true;
        CHECK(doubtful(settings) == (by == By::urls ? Keys{"purge.by"} : Keys{}));
        settings.edge.cache_tags = {"pool"};
        if (by == By::automatic) CHECK(doubtful(settings) == Keys{"purge.by"});
        settings.purge.zone_id.clear();
        CHECK(doubtful(settings).empty());
    }
}

TEST_CASE("purge advice: hosts that a star stands for have no URLs", "[conf][purge]") {
    Settings settings = with_zone(By::urls);
    settings.edge.hosts = {"images.example", "*.one.example", "*.two.example"};
    CHECK(doubtful(settings) == Keys{"edge.hosts[2]", "edge.hosts[3]"});
    settings.edge.hosts.push_back("a.one.example");
    settings.purge.hosts.push_back("https://B.Two.Example:8443/x");
    CHECK(doubtful(settings).empty());
    settings.edge.hosts = {"*.example"};
    settings.purge.hosts.clear();
    CHECK(doubtful(settings) == Keys{"edge.hosts[1]"});
    settings.pools.emplace_back().public_base_url = "https://b2.example";
    CHECK(doubtful(settings).empty());
    settings.pools.clear();
    settings.purge.by = By::automatic;
    CHECK(doubtful(settings).empty());
}
