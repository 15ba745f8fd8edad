#include "proxy/edge/zone_rules.h"

#include "conf/url_path.h"
#include "proxy/edge/expression.h"
#include "proxy/edge/zone_secrets.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

struct PhaseNames {
    std::string_view api;
    std::string_view dashboard;
};
constexpr std::array<PhaseNames, kPhases> kPhaseNames{{
    {"http_request_transform", "Rules > Overview > Create rule > URL Rewrite Rule"},
    {"http_request_firewall_custom", "Security > Security rules > Create rule > Custom rules"},
    {"http_ratelimit", "Security > Security rules > Create rule > Rate limiting rules"},
    {"http_request_late_transform",
     "Rules > Overview > Create rule > Request Header Transform Rule"},
    {"http_request_cache_settings", "Caching > Cache Rules > Create rule"},
    {"http_response_headers_transform",
     "Rules > Overview > Create rule > Response Header Transform Rule"},
}};
constexpr std::array<std::string_view, 4> kPlanNames{"free", "pro", "business", "enterprise"};

// What B2 says of an object beside what visitors need (contracts: b2-s3.md 2.1). Rules name headers
// one by one; the x-bz-info- are those of our own uploads and of the usual tools.
constexpr std::array<std::string_view, 7> kBucketHeaders{
    "x-bz-content-sha1",        "x-bz-file-id",     "x-bz-file-name",
    "x-bz-upload-timestamp",    "x-bz-info-sha256", "x-bz-info-src_last_modified_millis",
    "x-bz-info-large_file_sha1"};

// Of others, such as "android-app://...", the origin says that they name no page.
constexpr std::string_view kNamesHost = R"(starts_with(lower(http.referer), "http"))";

// Where the other layout of keys has its images (contracts: pixelfox.md, Keys, paths and URLs).
constexpr std::string_view kOtherKeys = "/images/";

ZoneJson eligible_parameters() {
    return {{"cache", true},
            {"edge_ttl", {{"mode", "respect_origin"}}},
            {"browser_ttl", {{"mode", "respect_origin"}}},
            {"cache_key", {{"cache_deception_armor", true}}}};
}

// The paths of keys that begin so, on our hosts.
std::vector<std::string> paths_of_keys(const ZoneFacts& facts,
                                       const std::vector<std::string>& prefixes) {
    std::vector<std::string> paths;
    for (const std::string& root : facts.roots) {
        for (const std::string& prefix : prefixes)
            paths.push_back(root + prefix);
    }
    return paths;
}

// On a bucket's own host, before and after the rewrite: later phases see what it has made.
std::vector<std::string> direct_paths(const DirectHost& direct,
                                      const std::vector<std::string>& prefixes) {
    std::vector<std::string> paths;
    for (const std::string& prefix : prefixes) {
        paths.push_back("/" + prefix);
        paths.push_back(fmt::format("/file/{}/{}{}", direct.bucket, direct.path_prefix, prefix));
    }
    return paths;
}

// A ref of a rule that there is one of for each host: letters, digits and "_" alone.
std::string ref_for(std::string_view what, std::string_view host) {
    std::string ref = fmt::format("{}{}_", kOurRef, what);
    for (const char c : host) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        ref += is_plain ? c : '_';
    }
    return ref;
}

class RuleWriter {
  public:
    RuleWriter(const ZoneFacts& facts, const ZoneOptions& options)
        : facts_(facts), options_(options) {}

    ZoneRules write() {
        all_.notes = facts_.notes;
        all_.secrets = facts_.secrets;
        add_records();
        add_settings();
        for (const DirectHost& direct : facts_.direct)
            add_rewrite(direct);
        if (!facts_.hosts.empty()) {
            add_hotlinks();
            add_signatures();
        }
        for (const DirectHost& direct : facts_.direct)
            add_fence(direct);
        if (!facts_.hosts.empty()) {
            add_rates();
            add_lock();
            add_caching();
        }
        for (const DirectHost& direct : facts_.direct)
            add_direct_caching(direct);
        std::vector<ZoneRule> by_phase;
        for (std::size_t index = 0; index < kPhases; ++index) {
            for (ZoneRule& rule : rules_of(all_, phase_at(index)))
                by_phase.push_back(std::move(rule));
        }
        all_.rules = std::move(by_phase);
        for (const ZoneRule& rule : all_.rules)
            warn_of(rule);
        return std::move(all_);
    }

  private:
    std::string our_host() const { return host_condition(facts_.hosts); }
    static std::string host_is(const DirectHost& direct) { return host_condition({direct.host}); }
    void add(ZoneRule rule) { all_.rules.push_back(std::move(rule)); }

    void warn_of(const ZoneRule& rule) {
        if (rule.expression.size() > kExpressionBytes)
            all_.notes.push_back(
                fmt::format("\"{}\": its expression has {} characters, and the edge takes {}: "
                            "shorten the lists of the settings it comes from",
                            rule.name, rule.expression.size(), kExpressionBytes));
        if (rule.plan > options_.plan)
            all_.notes.push_back(fmt::format(
                "\"{}\" needs the plan {}: the edge refuses it on {} (--plan says which one it is)",
                rule.name, name_of(rule.plan), name_of(options_.plan)));
    }

    // --- records and settings ---

    void add_records() {
        const std::string& address = options_.address;
        const bool is_v6 = address.find(':') != address.npos;
        const bool is_v4 =
            !address.empty() && address.find_first_not_of("0123456789.") == address.npos;
        for (const std::string& host : facts_.hosts) {
            if (host.starts_with("*."))
                all_.notes.push_back(
                    fmt::format("{}: its names need records of their own, each proxied", host));
            else
                all_.records.push_back(
                    {.name = host,
                     .type = is_v6                      ? "AAAA"
                             : is_v4 || address.empty() ? "A"
                                                        : "CNAME",
                     .content = address.empty() ? "<address of this server: --address>" : address,
                     .why = "Visitors come to the edge, and the edge to this server."});
        }
        for (const DirectHost& direct : facts_.direct)
            all_.records.push_back(
                {.name = direct.host,
                 .type = "CNAME",
                 .content = direct.upstream,
                 .why = fmt::format("The edge fetches the images of pool {} from the bucket's "
                                    "friendly host, past this server and free of egress.",
                                    direct.pool)});
    }

    void add_settings() {
        all_.settings.push_back({.name = "SSL/TLS mode: Full (strict)",
                                 .where = "SSL/TLS > Overview",
                                 .method = "PATCH",
                                 .path = "/settings/ssl",
                                 .body = {{"value", "strict"}},
                                 .resource = "cloudflare_zone_setting",
                                 .attributes = {{"setting_id", "ssl"}, {"value", "strict"}},
                                 .why = "Else whoever is between the edge and this server reads "
                                        "the secret and the images. Changing it empties the "
                                        "edge's cache."});
        if (!facts_.speaks_tls && !facts_.hosts.empty())
            all_.notes.push_back(
                "tls.listen is empty: Full (strict) needs TLS at this server or in front of it");
        all_.settings.push_back({.name = "URL normalisation: Cloudflare, incoming URLs and URLs "
                                         "to origin",
                                 .where = "Rules > Settings > Normalization",
                                 .method = "PUT",
                                 .path = "/url_normalization",
                                 .body = {{"type", "cloudflare"}, {"scope", "both"}},
                                 .resource = "cloudflare_url_normalization_settings",
                                 .attributes = {{"type", "cloudflare"}, {"scope", "both"}},
                                 .why = "Rules and this server then see one form of each path."});
        all_.settings.push_back(
            {.name = "Managed transform \"Remove visitor IP headers\": off",
             .where = "Rules > Settings > Managed Transforms",
             .method = "PATCH",
             .path = "/managed_headers",
             .body = {{"managed_request_headers",
                       ZoneJson::array(
                           {{{"id", "remove_visitor_ip_headers"}, {"enabled", false}}})},
                      {"managed_response_headers", ZoneJson::array()}},
             .why = facts_.direct.empty()
                        ? "Else no visitor's address is known here."
                        : "Else no visitor's address is known here. It is one switch for the "
                          "zone, so the bucket's host sees the addresses as well; in a zone "
                          "of its own that host can have it on."});
        if (facts_.wants_certificate) add_certificate();
    }

    void add_certificate() {
        all_.settings.push_back(
            {.name = "Authenticated origin pulls: the zone's client certificate",
             .where = "SSL/TLS > Origin Server (the certificate by the API alone)",
             .method = "POST",
             .path = "/origin_tls_client_auth",
             .body = {{"certificate",
                       "<PEM of a certificate that a CA of edge.client_ca_files "
                       "issued>"},
                      {"private_key", "<PEM of its key>"}},
             .why = "Each connection to this server then proves that it comes from this zone."});
        all_.settings.push_back({.name = "Authenticated origin pulls: on",
                                 .where = "SSL/TLS > Origin Server > Authenticated Origin Pulls",
                                 .method = "PUT",
                                 .path = "/origin_tls_client_auth/settings",
                                 .body = {{"enabled", true}},
                                 .resource = "cloudflare_authenticated_origin_pulls_settings",
                                 .attributes = {{"enabled", true}},
                                 .why = "The certificate is shown only from then on."});
    }

    // --- our own host ---

    void add_lock() {
        if (facts_.secret_header.empty()) return;
        ZoneJson headers;
        headers[facts_.secret_header] = {{"operation", "set"},
                                         {"value", secret_place("edge.secret")}};
        add({.ref = "tidepool_lock",
             .name = "tidepool: prove to the origin that it is this zone",
             .phase = Phase::request_headers,
             .expression = our_host(),
             .action = "rewrite",
             .parameters = {{"headers", headers}},
             .why = "The origin lock lets in who shows this secret; to set it replaces what a "
                    "visitor sends under that name.",
             .steps = {fmt::format("Set static, header {}, value {}", facts_.secret_header,
                                   secret_place("edge.secret"))}});
    }

    void add_hotlinks() {
        const HotlinkFacts& hotlink = facts_.hotlink;
        if (hotlink.allowed_hosts.empty()) return;
        std::vector<std::string> hosts = facts_.site_hosts;
        for (const auto& more : {hotlink.allowed_hosts, hotlink.exceptions})
            hosts.insert(hosts.end(), more.begin(), more.end());
        std::ranges::sort(hosts);
        const auto doubles = std::ranges::unique(hosts);
        hosts.erase(doubles.begin(), doubles.end());
        std::vector<std::string> all_hosts = facts_.hosts;
        for (const DirectHost& direct : facts_.direct)
            all_hosts.push_back(direct.host);
        std::vector<std::string> paths = facts_.paths;
        if (!hotlink.prefixes.empty()) {
            paths = paths_of_keys(facts_, hotlink.prefixes);
            for (const DirectHost& direct : facts_.direct) {
                for (std::string& path : direct_paths(direct, hotlink.prefixes))
                    paths.push_back(std::move(path));
            }
            std::ranges::sort(paths);
            const auto same = std::ranges::unique(paths);
            paths.erase(same.begin(), same.end());
        }
        add({.ref = "tidepool_hotlink",
             .name = "tidepool: refuse pages that may not show our images",
             .phase = Phase::firewall,
             .expression = all_conditions({host_condition(all_hosts), path_condition(paths),
                                           hotlink.allow_empty ? std::string(kNamesHost) : "",
                                           fmt::format("not {}", referer_condition(hosts))}),
             .action = "block",
             .why = "What the edge has stored it shows to whoever asks, so what [hotlink] says "
                    "has to be asked before its cache.",
             .steps = {"Then take action: Block"}});
    }

    std::string is_signed() const {
        const auto by = [this](std::string_view key) {
            return fmt::format(
                "is_timed_hmac_valid_v0(\"{}\", http.request.uri, {}, "
                "http.request.timestamp.sec, 8, \"s\")",
                secret_place(key), facts_.private_ttl_s);
        };
        if (!facts_.has_previous_key) return by("private.signing_key");
        return any_condition({by("private.signing_key"), by("private.signing_key_previous")});
    }

    void add_signatures() {
        if (facts_.private_prefixes.empty() || !facts_.edge_checks) return;
        add({.ref = "tidepool_signatures",
             .name = "tidepool: refuse private images without a signature",
             .phase = Phase::firewall,
             .expression = all_conditions(
                 {our_host(), path_condition(paths_of_keys(facts_, facts_.private_prefixes)),
                  "not " + is_signed()}),
             .action = "block",
             .plan = ZonePlan::pro,
             .why = "private.edge_checks = true has private images stored at the edge, which "
                    "gives them to everybody that this rule lets through. It knows timed "
                    "signatures alone: those with exp= and sig= are refused.",
             .steps = {"Then take action: Block"}});
    }

    // What is below longer prefixes has rules of its own.
    std::string rate_paths(const RateFacts& rate) const {
        const auto paths_below = [this](const std::string& prefix) {
            return prefix.empty() ? facts_.paths : paths_of_keys(facts_, {prefix});
        };
        std::vector<std::string> longer;
        for (const RateFacts& other : facts_.rates) {
            if (other.prefix.size() > rate.prefix.size() && other.prefix.starts_with(rate.prefix)) {
                for (std::string& path : paths_below(other.prefix))
                    longer.push_back(std::move(path));
            }
        }
        const std::string paths = path_condition(paths_below(rate.prefix));
        return longer.empty() ? paths : all_conditions({paths, "not " + path_condition(longer)});
    }

    void add_rates() {
        const bool is_free = options_.plan == ZonePlan::free;
        for (const RateFacts& rate : facts_.rates) {
            // On Free there is one length of time, and no condition on hosts.
            const std::int64_t period_s = is_free ? 10 : 60;
            const std::uint64_t at_once = rate.burst == 0 ? rate.requests : rate.burst;
            const auto in_period =
                static_cast<std::uint64_t>(period_s) * rate.requests /
                static_cast<std::uint64_t>(std::max<std::int64_t>(rate.per_s, 1));
            const std::uint64_t most = at_once + in_period;
            add({.ref = rate.prefix.empty() ? "tidepool_rate" : ref_for("rate", rate.prefix),
                 .name = rate.prefix.empty()
                             ? "tidepool: limit the requests of a visitor"
                             : fmt::format("tidepool: limit the requests of a visitor below {}",
                                           rate.prefix),
                 .phase = Phase::rate_limit,
                 .expression = all_conditions({is_free ? "" : our_host(), rate_paths(rate)}),
                 .action = "block",
                 .rate = {{"characteristics", ZoneJson::array({"cf.colo.id", "ip.src"})},
                          {"period", period_s},
                          {"requests_per_period", most},
                          {"mitigation_timeout", period_s},
                          {"requests_to_origin", true}},
                 .why = "As many as [[rate_limit]] lets through in that time, counted as there: "
                        "what the edge's cache answers does not count.",
                 .steps = {fmt::format("With the same characteristics: IP; {} requests in {} s; "
                                       "block for {} s; not for cached assets",
                                       most, period_s, period_s)}});
        }
        if (is_free && facts_.rates.size() > 1)
            all_.notes.push_back("a zone on Free has one rate limiting rule, here are more");
    }

    void add_caching() {
        add({.ref = "tidepool_cache",
             .name = "tidepool: keep images as long as the origin says",
             .phase = Phase::cache,
             .expression = all_conditions({our_host(), path_condition(facts_.paths)}),
             .action = "set_cache_settings",
             .parameters = eligible_parameters(),
             .why = "By itself the edge goes by extensions, and .jxl, .heic, .heif and .jp2 are "
                    "none of its own; and it may shorten what browsers are told.",
             .steps = {"Cache eligibility: Eligible for cache",
                       "Edge TTL: Use cache-control header if present, use default Cloudflare "
                       "caching behavior if not",
                       "Browser TTL: Respect origin TTL", "Cache key: Cache deception armor on"}});
        if (facts_.private_prefixes.empty()) return;
        const std::string paths = path_condition(paths_of_keys(facts_, facts_.private_prefixes));
        if (!facts_.edge_checks) {
            add({.ref = "tidepool_private",
                 .name = "tidepool: keep no private images",
                 .phase = Phase::cache,
                 .expression = all_conditions({our_host(), paths}),
                 .action = "set_cache_settings",
                 .parameters = {{"cache", false}},
                 .why = "A signature that is asked for here alone is not asked for where the edge "
                        "answers from its cache.",
                 .steps = {"Cache eligibility: Bypass cache"}});
        } else if (options_.plan == ZonePlan::enterprise) {
            ZoneJson parameters = eligible_parameters();
            parameters["cache_key"]["custom_key"] = {
                {"query_string", {{"exclude", {{"list", ZoneJson::array({"verify"})}}}}}};
            add({.ref = "tidepool_private",
                 .name = "tidepool: keep private images once for all signatures",
                 .phase = Phase::cache,
                 .expression = all_conditions({our_host(), paths}),
                 .action = "set_cache_settings",
                 .parameters = parameters,
                 .plan = ZonePlan::enterprise,
                 .why = "Each signature is a URL of its own, and so an object of its own at the "
                        "edge; custom rules check it before the cache.",
                 .steps = {"As the rule above",
                           "Cache key > Query string: All query string parameters except verify"}});
        }
    }

    // --- a bucket's own host ---

    void add_rewrite(const DirectHost& direct) {
        add({.ref = ref_for("rewrite", direct.host),
             .name = fmt::format("tidepool: find the bucket {} on {}", direct.bucket, direct.host),
             .phase = Phase::url_rewrite,
             .expression = all_conditions(
                 {host_is(direct), path_condition({facts_.url_prefix, std::string(kOtherKeys)})}),
             .action = "rewrite",
             .parameters = {{"uri", {{"path", {{"expression", rewrite_to(direct)}}}}}},
             .why = "The friendly host has buckets below /file/, while our links are the same on "
                    "every host.",
             .steps = {"Path: Rewrite to, Dynamic: " + rewrite_to(direct), "Query: Preserve"}});
    }

    // A prefix of the bucket ends with a slash, and the path begins with one.
    static std::string rewrite_to(const DirectHost& direct) {
        std::string before = fmt::format("/file/{}/{}", direct.bucket, direct.path_prefix);
        before.pop_back();
        return fmt::format("concat({}, http.request.uri.path)", literal(before));
    }

    // True of paths with an escape of what stands in these prefixes as it is: a bucket undoes it,
    // where the rule that compares the text has let it through.
    static std::vector<std::string> other_spellings(const std::vector<std::string>& prefixes) {
        std::set<char> marks{'/'};
        for (const std::string& prefix : prefixes) {
            for (const char c : prefix) {
                if (conf::has_other_spelling(c)) marks.insert(c);
            }
        }
        std::vector<std::string> parts;
        for (const char mark : marks)
            parts.push_back(fmt::format("lower(http.request.uri.path) contains \"%{:02x}\"",
                                        static_cast<unsigned char>(mark)));
        return parts;
    }

    // Without it the host shows every public bucket there is, and a private prefix as well.
    void add_fence(const DirectHost& direct) {
        std::string open = path_condition(
            direct_paths(direct, {facts_.url_prefix.substr(1), std::string(kOtherKeys.substr(1))}));
        std::string closed = facts_.private_prefixes.empty()
                                 ? ""
                                 : path_condition(direct_paths(direct, facts_.private_prefixes));
        std::vector<std::string> refused{"not " + open};
        if (!closed.empty()) {
            refused.push_back(closed);
            for (std::string& spelling : other_spellings(facts_.private_prefixes))
                refused.push_back(std::move(spelling));
        }
        add({.ref = ref_for("fence", direct.host),
             .name = fmt::format("tidepool: show nothing but images on {}", direct.host),
             .phase = Phase::firewall,
             .expression = all_conditions({host_is(direct), any_condition(refused)}),
             .action = "block",
             .why = "The friendly host has the buckets of all its customers, and asks for no "
                    "signature.",
             .steps = {"Then take action: Block"}});
    }

    void add_direct_caching(const DirectHost& direct) {
        ZoneJson by_status =
            ZoneJson::array({{{"status_code_range", {{"from", 400}, {"to", 403}}}, {"value", -1}},
                             {{"status_code", 404}, {"value", 60}},
                             {{"status_code_range", {{"from", 405}, {"to", 599}}}, {"value", -1}}});
        add({.ref = ref_for("cache", direct.host),
             .name = fmt::format("tidepool: keep the images of {}", direct.host),
             .phase = Phase::cache,
             .expression = host_is(direct),
             .action = "set_cache_settings",
             .parameters = {{"cache", true},
                            {"edge_ttl",
                             {{"mode", "override_origin"},
                              {"default", facts_.edge_ttl_s},
                              {"status_code_ttl", by_status}}},
                            {"cache_key", {{"cache_deception_armor", true}}}},
             .why = "B2 forbids to store what nobody gave a lifetime. Errors are not kept, or "
                    "shortly.",
             .steps = {"Cache eligibility: Eligible for cache",
                       fmt::format("Edge TTL: Ignore cache-control header and use this TTL: {} s",
                                   facts_.edge_ttl_s),
                       "Status code TTL: 400 to 403: no store; 404: 60 s; 405 to 599: no store",
                       "Cache key: Cache deception armor on"}});
        add({.ref = ref_for("authorization", direct.host),
             .name = fmt::format("tidepool: pass no credentials on to {}", direct.upstream),
             .phase = Phase::request_headers,
             .expression = host_is(direct),
             .action = "rewrite",
             .parameters = {{"headers", {{"Authorization", {{"operation", "remove"}}}}}},
             .why = "What a visitor sends to prove who he is must not decide what is kept for all.",
             .steps = {"Remove, header Authorization"}});
        add_cleanup(direct);
    }

    void add_cleanup(const DirectHost& direct) {
        ZoneJson removed;
        for (const std::string_view name : kBucketHeaders)
            removed[std::string(name)] = {{"operation", "remove"}};
        removed["X-Content-Type-Options"] = {{"operation", "set"}, {"value", "nosniff"}};
        add({.ref = ref_for("headers", direct.host),
             .name = fmt::format("tidepool: tell nothing of the bucket behind {}", direct.host),
             .phase = Phase::response_headers,
             .expression = host_is(direct),
             .action = "rewrite",
             .parameters = {{"headers", removed}},
             .why = "x-bz-* name the bucket's files and versions, and a type that is not an "
                    "image's must not be guessed to be a page.",
             .steps = {fmt::format("Remove, each: {}", fmt::join(kBucketHeaders, ", ")),
                       "Set static, header X-Content-Type-Options, value nosniff"}});
        add({.ref = ref_for("lifetime", direct.host),
             .name = fmt::format("tidepool: let browsers keep the images of {}", direct.host),
             .phase = Phase::response_headers,
             .expression = all_conditions({host_is(direct), "http.response.code in {200 206 304}"}),
             .action = "rewrite",
             .parameters = {{"headers",
                             {{"Cache-Control",
                               {{"operation", "set"}, {"value", facts_.cache_control}}}}}},
             .why = "Browsers would ask for each image again: B2 says no-store.",
             .steps = {
                 fmt::format("Set static, header Cache-Control, value {}", facts_.cache_control)}});
    }

    const ZoneFacts& facts_;
    const ZoneOptions& options_;
    ZoneRules all_;
};

}  // namespace

Phase phase_at(std::size_t index) {
    return static_cast<Phase>(index);
}

std::string_view api_name(Phase phase) {
    return kPhaseNames.at(static_cast<std::size_t>(phase)).api;
}

std::string_view dashboard_path(Phase phase) {
    return kPhaseNames.at(static_cast<std::size_t>(phase)).dashboard;
}

std::string_view name_of(ZonePlan plan) {
    return kPlanNames.at(static_cast<std::size_t>(plan));
}

std::optional<ZonePlan> parse_zone_plan(std::string_view name) {
    const auto* const found = std::ranges::find(kPlanNames, name);
    if (found == kPlanNames.end()) return std::nullopt;
    return static_cast<ZonePlan>(found - kPlanNames.begin());
}

ZoneRules zone_rules(const ZoneFacts& facts, const ZoneOptions& options) {
    return RuleWriter(facts, options).write();
}

std::vector<ZoneRule> rules_of(const ZoneRules& all, Phase phase) {
    std::vector<ZoneRule> rules;
    std::ranges::copy_if(all.rules, std::back_inserter(rules),
                         [phase](const ZoneRule& rule) { return rule.phase == phase; });
    return rules;
}

}  // namespace tidepool::edge
