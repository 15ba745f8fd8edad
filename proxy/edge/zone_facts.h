// What the rules of a zone follow from, taken out of the settings. Pure.
#pragma once

#include "conf/settings.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::edge {

// A host behind which the edge asks a bucket's friendly host and not us (contracts: cloudflare.md
// 5.1, mode A).
struct DirectHost {
    std::string host;  // "images-b2.example"
    std::string pool;  // by name
    std::string bucket;
    std::string path_prefix;  // before every key in the bucket
    std::string upstream;     // "f001.backblazeb2.com"
    bool operator==(const DirectHost&) const = default;
};

struct HotlinkFacts {
    std::vector<std::string> allowed_hosts;  // [] = everybody may
    std::vector<std::string> prefixes;       // of keys; [] = all
    std::vector<std::string> exceptions;
    bool allow_empty = true;
};

struct RateFacts {
    std::string prefix;  // of keys; "" = all
    std::uint64_t requests = 0;
    std::int64_t per_s = 60;
    std::uint64_t burst = 0;  // 0 = as many as requests
};

// A secret that stands in a rule, by the name of its setting. Rules hold only its name until
// somebody asks for its value (zone_secrets.h).
struct ZoneSecret {
    std::string name;  // "edge.secret"
    conf::Secret value;
};

struct ZoneFacts {
    std::vector<std::string> hosts;  // ours; "*.example" too
    std::string url_prefix = "/uploads/";
    std::vector<std::string> paths;  // all that paths of images begin with on our hosts
    std::vector<std::string> roots;  // what stands before a key there: "/", "/file/BUCKET/"
    std::vector<DirectHost> direct;

    std::string secret_header;
    bool wants_certificate = false;
    bool speaks_tls = false;
    std::vector<ZoneSecret> secrets;

    std::vector<std::string> private_prefixes;  // of keys, those of variants among them
    std::int64_t private_ttl_s = 10'800;
    bool edge_checks = false;
    bool has_previous_key = false;

    HotlinkFacts hotlink;
    std::vector<std::string> site_hosts;  // whose pages may always show images
    std::vector<RateFacts> rates;

    // Of an image that never gets other content, as our own answers say it.
    std::string cache_control = "public, max-age=31536000, immutable";
    std::int64_t edge_ttl_s = 2'592'000;

    std::vector<std::string> notes;  // what no rule can be made of, and why
};

// `pools`: those in force, as some may come from the catalog; `more_hosts`: beside those that the
// settings name. There are rules for us only where a host is known.
ZoneFacts zone_facts(const conf::Settings& settings, const std::vector<conf::PoolSettings>& pools,
                     const std::vector<std::string>& more_hosts = {});

// "images.example" of "https://images.example:8443/x".
std::string host_of_url(std::string_view url);

}  // namespace tidepool::edge
