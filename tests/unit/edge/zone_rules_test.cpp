#include "proxy/edge/zone_rules.h"

#include "proxy/edge/expression.h"
#include "proxy/edge/zone_calls.h"
#include "proxy/edge/zone_secrets.h"
#include "proxy/edge/zone_text.h"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::edge;

namespace {

conf::PoolSettings direct_bucket() {
    conf::PoolSettings pool;
    pool.name = "cold";
    pool.storage_type = conf::PoolSettings::Type::s3;
    pool.bucket = "site-images";
    pool.download_url = "https://f001.backblazeb2.com";
    pool.public_base_url = "https://images-b2.example";
    return pool;
}

conf::Settings settings_of_a_host() {
    conf::Settings settings;
    settings.edge.hosts = {"images.example"};
    return settings;
}

const ZoneRule* find_rule(const ZoneRules& all, std::string_view ref) {
    const auto found = std::ranges::find(all.rules, ref, &ZoneRule::ref);
    return found == all.rules.end() ? nullptr : &*found;
}

const ZoneRule& rule_named(const ZoneRules& all, std::string_view ref) {
    const ZoneRule* const rule = find_rule(all, ref);
    INFO(ref);
    REQUIRE(rule != nullptr);
    return *rule;
}

bool has_note(const ZoneRules& all, std::string_view part) {
    return std::ranges::any_of(all.notes, [part](const std::string& note) {
        return note.find(part) != std::string::npos;
    });
}

std::string key_text(std::string_view name) {
    return name == "private.signing_key" ? R"(k"e\y)" : "OTHER";
}

}  // namespace

TEST_CASE("zone rules: what settings say cannot leave its literal", "[edge]") {
    CHECK(literal(R"(a"b\c)") == R"("a\"b\\c")");
    CHECK(host_condition({R"(x" or true or ")"}) == R"(http.host eq "x\" or true or \"")");
    CHECK(path_condition({R"(/u"p/)"}) == R"(starts_with(http.request.uri.path, "/u%22p/"))");
}

TEST_CASE("zone rules: conditions of several parts have parentheses", "[edge]") {
    CHECK(any_condition({}).empty());
    CHECK(any_condition({"a"}) == "a");
    CHECK(any_condition({"a", "b"}) == "(a or b)");
    CHECK(all_conditions({"", "a", "", "(b or c)"}) == "a and (b or c)");
    CHECK(host_condition({}).empty());
    CHECK(host_condition({"A.example", "b.example"}) ==
          R"(http.host in {"a.example" "b.example"})");
    CHECK(host_condition({"*.example", "b.test"}) ==
          R"((http.host eq "b.test" or ends_with(http.host, ".example")))");
}

TEST_CASE("zone rules: a host's images are kept as the origin says", "[edge]") {
    const ZoneRules all = zone_rules(zone_facts(settings_of_a_host(), {}));
    const ZoneRule& rule = rule_named(all, "tidepool_cache");
    CHECK(rule.phase == Phase::cache);
    CHECK(rule.expression == R"(http.host eq "images.example" and )"
                             R"(starts_with(http.request.uri.path, "/uploads/"))");
    CHECK(rule.action == "set_cache_settings");
    CHECK(rule.parameters.dump() ==
          R"({"cache":true,"edge_ttl":{"mode":"respect_origin"},"browser_ttl":{"mode":)"
          R"("respect_origin"},"cache_key":{"cache_deception_armor":true}})");
    CHECK(all.rules.size() == 1);
    REQUIRE(all.records.size() == 1);
    CHECK(all.records[0].content.find("--address") != std::string::npos);
}

TEST_CASE("zone rules: every rule is known again by name and ref", "[edge]") {
    conf::Settings settings = settings_of_a_host();
    settings.edge.secret_header = "X-Origin-Key";
    settings.private_images.prefixes = {"uploads/private/"};
    const ZoneRules all = zone_rules(zone_facts(settings, {direct_bucket()}));
    CHECK(all.rules.size() == 9);
    std::vector<std::string> refs;
    for (const ZoneRule& rule : all.rules) {
        CHECK(rule.ref.starts_with(kOurRef));
        CHECK(rule.name.starts_with(kOurName));
        CHECK_FALSE(rule.why.empty());
        CHECK_FALSE(rule.steps.empty());
        CHECK(rule.expression.size() <= kExpressionBytes);
        refs.push_back(rule.ref);
    }
    std::ranges::sort(refs);
    CHECK(std::ranges::adjacent_find(refs) == refs.end());
}

TEST_CASE("zone rules: the address decides the type of the record", "[edge]") {
    const auto record = [](const char* address) {
        return zone_rules(zone_facts(settings_of_a_host(), {}), {.address = address}).records[0];
    };
    CHECK(record("192.0.2.1").type == "A");
    CHECK(record("2001:db8::1").type == "AAAA");
    CHECK(record("origin.example").type == "CNAME");
    CHECK(record("origin.example").content == "origin.example");
}

TEST_CASE("zone rules: the lock's secret has a place, and shows itself to who fills it", "[edge]") {
    conf::Settings settings = settings_of_a_host();
    settings.edge.secret_header = "X-Origin-Key";
    settings.edge.secret = conf::Secret("file:/etc/tidepool/edge.key", "0123456789abcdef");
    const ZoneRules all = zone_rules(zone_facts(settings, {}));
    const auto hidden = [&](std::string_view name) { return placeholder_of(all.secrets, name); };
    const auto shown = [&](std::string_view name) { return value_of(all.secrets, name); };
    const std::string text = zone_text(all, hidden) + zone_calls(all, "", hidden).dump();
    CHECK(text.find("0123456789abcdef") == std::string::npos);
    CHECK(text.find("<edge.secret: file:/etc/tidepool/edge.key>") != std::string::npos);
    const ZoneJson json = rule_json(rule_named(all, "tidepool_lock"), shown);
    CHECK(json["action_parameters"]["headers"]["X-Origin-Key"].dump() ==
          R"({"operation":"set","value":"0123456789abcdef"})");
    CHECK(zone_text(all, shown).find("0123456789abcdef") != std::string::npos);
}

TEST_CASE("zone rules: private prefixes are not kept unless the edge checks signatures", "[edge]") {
    conf::Settings settings = settings_of_a_host();
    settings.private_images.prefixes = {"uploads/private/"};
    const ZoneRules all = zone_rules(zone_facts(settings, {}));
    CHECK(find_rule(all, "tidepool_signatures") == nullptr);
    const ZoneRule& rule = rule_named(all, "tidepool_private");
    CHECK(rule.expression == R"(http.host eq "images.example" and )"
                             R"(starts_with(http.request.uri.path, "/uploads/private/"))");
    CHECK(rule.parameters.dump() == R"({"cache":false})");
    // The last rule that matches decides.
    CHECK(all.rules.back().ref == "tidepool_private");
}

TEST_CASE("zone rules: prefixes are written as paths are", "[edge]") {
    conf::Settings settings = settings_of_a_host();
    settings.private_images.prefixes = {"uploads/my private/", "uploads/priv\xc3\xa9@/"};
    settings.private_images.edge_checks = true;
    settings.private_images.signing_key = conf::Secret("env:KEY", "k");
    const ZoneRules all = zone_rules(zone_facts(settings, {direct_bucket()}));
    const std::string expression = rule_named(all, "tidepool_signatures").expression;
    CHECK(expression.find(R"("/uploads/my%20private/")") != std::string::npos);
    CHECK(expression.find(R"("/uploads/priv%C3%A9@/")") != std::string::npos);
    const std::string fence = rule_named(all, "tidepool_fence_images_b2_example").expression;
    CHECK(fence.find(R"("/uploads/my%20private/")") != std::string::npos);
    CHECK(fence.find(R"(contains "%2f")") != std::string::npos);
    CHECK(fence.find(R"(contains "%40")") != std::string::npos);
    CHECK(fence.find(R"(contains "%20")") == std::string::npos);
}

TEST_CASE("zone rules: with edge_checks a custom rule asks for the signature", "[edge]") {
    conf::Settings settings = settings_of_a_host();
    settings.private_images.prefixes = {"uploads/private/"};
    settings.private_images.edge_checks = true;
    settings.private_images.signing_key = conf::Secret("env:KEY", R"(k"e\y)");
    const ZoneRules all = zone_rules(zone_facts(settings, {}));
    const ZoneRule& rule = rule_named(all, "tidepool_signatures");
    CHECK(rule.phase == Phase::firewall);
    CHECK(rule.action == "block");
    CHECK(rule.plan == ZonePlan::pro);
    CHECK(rule_json(rule, key_text)["expression"].get<std::string>() ==
          R"(http.host eq "images.example" and )"
          R"(starts_with(http.request.uri.path, "/uploads/private/") and not )"
          R"(is_timed_hmac_valid_v0("k\"e\\y", http.request.uri, 10800, )"
          R"(http.request.timestamp.sec, 8, "s"))");
    CHECK(find_rule(all, "tidepool_private") == nullptr);
    CHECK(has_note(all, "needs the plan pro"));

    settings.private_images.signing_key_previous = conf::Secret("env:OLD", "x");
    const ZoneRules large = zone_rules(zone_facts(settings, {}), {.plan = ZonePlan::enterprise});
    const std::string both = rule_named(large, "tidepool_signatures").expression;
    CHECK(both.find("and not (is_timed") != std::string::npos);
    CHECK(both.find(" or is_timed") != std::string::npos);
    CHECK(rule_named(large, "tidepool_private").parameters["cache_key"].dump() ==
          R"({"cache_deception_armor":true,"custom_key":{"query_string":{"exclude":)"
          R"({"list":["verify"]}}}})");
    CHECK_FALSE(has_note(large, "needs the plan"));
}

TEST_CASE("zone rules: variants are as private as their originals", "[edge]") {
    const auto prefixes = [](const std::string& prefix) {
        conf::Settings settings;
        settings.private_images.prefixes = {prefix};
        return zone_facts(settings, {}).private_prefixes;
    };
    using List = std::vector<std::string>;
    CHECK(prefixes("uploads/private/") == List{"uploads/private/"});
    CHECK(prefixes("uploads/original/2026/") ==
          List{"uploads/original/2026/", "uploads/variants/2026/"});
    CHECK(prefixes("original/") == List{"original/", "variants/"});
    CHECK(prefixes("uploads/orig") == List{"uploads/orig", "uploads/variants/"});
    CHECK(prefixes("uploads/original/2026/02/25/UUID.jpg") ==
          List{"uploads/original/2026/02/25/UUID.jpg", "uploads/variants/2026/02/25/UUID"});
    CHECK(prefixes("uploads/") == List{"uploads/"});
}

TEST_CASE("zone rules: a bucket's own host is rewritten, fenced, kept and cleaned", "[edge]") {
    conf::Settings settings = settings_of_a_host();
    settings.private_images.prefixes = {"uploads/private/"};
    conf::PoolSettings pool = direct_bucket();
    const ZoneRules all = zone_rules(zone_facts(settings, {pool}));
    const ZoneRule& rewrite = rule_named(all, "tidepool_rewrite_images_b2_example");
    CHECK(rewrite.phase == Phase::url_rewrite);
    CHECK(rewrite.expression == R"(http.host eq "images-b2.example" and )"
                                R"((starts_with(http.request.uri.path, "/uploads/") or )"
                                R"(starts_with(http.request.uri.path, "/images/")))");
    CHECK(rewrite.parameters.dump() ==
          R"({"uri":{"path":{"expression":"concat(\"/file/site-images\", )"
          R"x(http.request.uri.path)"}}})x");
    const std::string fence = rule_named(all, "tidepool_fence_images_b2_example").expression;
    CHECK(fence.find(R"(not (starts_with(http.request.uri.path, "/uploads/") or )"
                     R"(starts_with(http.request.uri.path, "/file/site-images/uploads/"))") !=
          std::string::npos);
    CHECK(fence.find(R"("/file/site-images/uploads/private/")") != std::string::npos);
    // B2 takes "uploads/private%2Fa.jpg" for the same name.
    CHECK(fence.find(R"( or lower(http.request.uri.path) contains "%2f"))") != std::string::npos);
    const ZoneJson& ttl =
        rule_named(all, "tidepool_cache_images_b2_example").parameters["edge_ttl"];
    CHECK(ttl["mode"] == "override_origin");
    CHECK(ttl["default"] == 2592000);
    CHECK(ttl["status_code_ttl"].size() == 3);
    const ZoneJson& headers =
        rule_named(all, "tidepool_headers_images_b2_example").parameters["headers"];
    CHECK(headers["x-bz-file-id"].dump() == R"({"operation":"remove"})");
    CHECK(headers["X-Content-Type-Options"]["value"] == "nosniff");
    CHECK(rule_named(all, "tidepool_lifetime_images_b2_example")
              .parameters["headers"]["Cache-Control"]["value"] ==
          "public, max-age=31536000, immutable");
    CHECK(std::ranges::find(all.records, "f001.backblazeb2.com", &ZoneRecord::content) !=
          all.records.end());

    pool.path_prefix = "site-a/";
    const ZoneRules deeper = zone_rules(zone_facts(settings, {pool}));
    CHECK(rule_named(deeper, "tidepool_rewrite_images_b2_example").parameters.dump() ==
          R"({"uri":{"path":{"expression":"concat(\"/file/site-images/site-a\", )"
          R"x(http.request.uri.path)"}}})x");
}

TEST_CASE("zone rules: which pools have a host of their own", "[edge]") {
    const conf::Settings settings = settings_of_a_host();
    const auto direct = [&](const conf::PoolSettings& pool) {
        return zone_facts(settings, {pool}).direct.size();
    };
    conf::PoolSettings pool = direct_bucket();
    CHECK(direct(pool) == 1);
    CHECK(zone_facts(settings, {pool, pool}).direct.size() == 1);
    pool.public_base_url = "https://images.example";  // ours
    CHECK(direct(pool) == 0);
    pool = direct_bucket();
    pool.download_url = "";
    CHECK(direct(pool) == 0);
    CHECK(has_note(zone_rules(zone_facts(settings, {pool})), "download_url"));
    pool = direct_bucket();
    pool.visibility = conf::PoolSettings::Visibility::signed_only;
    CHECK(direct(pool) == 0);
    pool = direct_bucket();
    pool.is_active = false;
    CHECK(direct(pool) == 0);
}

TEST_CASE("zone rules: a bucket is found on our hosts in its own form, too", "[edge]") {
    conf::Settings settings = settings_of_a_host();
    settings.private_images.prefixes = {"uploads/private/"};
    const ZoneRules all = zone_rules(zone_facts(settings, {direct_bucket()}));
    CHECK(rule_named(all, "tidepool_cache").expression.find("\"/file/site-images/\"") !=
          std::string::npos);
    CHECK(rule_named(all, "tidepool_private")
              .expression.find("\"/file/site-images/uploads/private/\"") != std::string::npos);
}

TEST_CASE("zone rules: hotlinks are judged before the cache", "[edge]") {
    ZoneFacts facts = zone_facts(settings_of_a_host(), {});
    facts.hotlink.allowed_hosts = {"site.example", "*.site.example"};
    facts.hotlink.exceptions = {};
    const std::string expression = rule_named(zone_rules(facts), "tidepool_hotlink").expression;
    CHECK(
        expression ==
        R"(http.host eq "images.example" and starts_with(http.request.uri.path, "/uploads/") and )"
        R"(starts_with(lower(http.referer), "http") and not ((http.referer wildcard "http*://*.site.example/*" and )"
        R"(not http.referer wildcard "*//*/*.site.example/*") or )"
        R"(starts_with(lower(http.referer), "https://images.example/") or )"
        R"(starts_with(lower(http.referer), "http://images.example/") or )"
        R"(starts_with(lower(http.referer), "https://site.example/") or )"
        R"(starts_with(lower(http.referer), "http://site.example/")))");
    facts.hotlink.allow_empty = false;
    facts.hotlink.prefixes = {"uploads/original/"};
    const std::string stricter = rule_named(zone_rules(facts), "tidepool_hotlink").expression;
    CHECK(stricter.find("\"http\"") == std::string::npos);
    CHECK(stricter.find("\"/uploads/original/\"") != std::string::npos);
    facts.hotlink.exceptions.assign(100, "");
    for (std::size_t index = 0; index < 100; ++index)
        facts.hotlink.exceptions[index] = "host-" + std::to_string(index) + ".example";
    CHECK(has_note(zone_rules(facts), "shorten the lists"));
}

TEST_CASE("zone rules: rate limits are no stricter than those of the server", "[edge]") {
    ZoneFacts facts = zone_facts(settings_of_a_host(), {});
    facts.rates = {{.prefix = "", .requests = 600, .per_s = 60, .burst = 1200},
                   {.prefix = "uploads/original/", .requests = 60, .per_s = 3600}};
    const ZoneRules all = zone_rules(facts, {.plan = ZonePlan::business});
    const ZoneRule& rule = rule_named(all, "tidepool_rate");
    CHECK(rule.phase == Phase::rate_limit);
    CHECK(rule.expression == R"(http.host eq "images.example" and )"
                             R"(starts_with(http.request.uri.path, "/uploads/") and not )"
                             R"(starts_with(http.request.uri.path, "/uploads/original/"))");
    CHECK(rule.rate.dump() ==
          R"({"characteristics":["cf.colo.id","ip.src"],"period":60,"requests_per_period":1800,)"
          R"("mitigation_timeout":60,"requests_to_origin":true})");
    CHECK(rule_named(all, "tidepool_rate_uploads_original_").rate["requests_per_period"] == 61);
    // On Free there is one period, no host and one rule.
    const ZoneRules free = zone_rules(facts);
    CHECK(rule_named(free, "tidepool_rate").rate["period"] == 10);
    CHECK(rule_named(free, "tidepool_rate").expression.find("http.host") == std::string::npos);
    CHECK(has_note(free, "one rate limiting rule"));
}

TEST_CASE("zone rules: client certificates have their steps", "[edge]") {
    conf::Settings settings = settings_of_a_host();
    CHECK(zone_rules(zone_facts(settings, {})).settings.size() == 3);
    settings.edge.client_ca_files = {"/etc/tidepool/ca.pem"};
    const ZoneRules all = zone_rules(zone_facts(settings, {}));
    CHECK(all.settings.size() == 5);
    CHECK(all.settings[3].path == "/origin_tls_client_auth");
}

TEST_CASE("zone rules: without a host there are no rules, and it is said why", "[edge]") {
    const ZoneRules all = zone_rules(zone_facts({}, {}));
    CHECK(all.rules.empty());
    CHECK(has_note(all, "edge.hosts"));
    CHECK(zone_facts({}, {}, {"Images.Example"}).hosts ==
          std::vector<std::string>{"images.example"});
}

TEST_CASE("zone rules: calls are those of the entry points, in the edge's order", "[edge]") {
    conf::Settings settings = settings_of_a_host();
    settings.edge.secret_header = "X-Origin-Key";
    const ZoneRules all = zone_rules(zone_facts(settings, {direct_bucket()}));
    const auto hidden = [&](std::string_view name) { return placeholder_of(all.secrets, name); };
    std::vector<std::string> paths;
    for (const auto& call : zone_calls(all, "Z", hidden)) {
        if (call["method"] == "PUT" && call["body"].contains("rules"))
            paths.push_back(call["path"].get<std::string>());
    }
    CHECK(paths == std::vector<std::string>{
                       "/zones/Z/rulesets/phases/http_request_transform/entrypoint",
                       "/zones/Z/rulesets/phases/http_request_firewall_custom/entrypoint",
                       "/zones/Z/rulesets/phases/http_request_late_transform/entrypoint",
                       "/zones/Z/rulesets/phases/http_request_cache_settings/entrypoint",
                       "/zones/Z/rulesets/phases/http_response_headers_transform/entrypoint"});
    CHECK(zone_calls(all, "", hidden)[0]["path"] == "/zones/ZONE_ID/dns_records");
    CHECK(zone_calls(all, "Z", hidden).dump().find("\"managed_request_headers\":[{\"id\"") !=
          std::string::npos);
}
