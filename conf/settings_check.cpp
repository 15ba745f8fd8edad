#include "conf/settings_check.h"

#include "conf/ascii.h"
#include "conf/bytes.h"
#include "conf/digest.h"
#include "conf/directives.h"
#include "conf/host_pattern.h"
#include "conf/settings_schema.h"
#include "conf/text_rules.h"

#include <algorithm>
#include <filesystem>
#include <tuple>

#include <fmt/format.h>

namespace tidepool::conf {

namespace {

std::string pool_key(std::size_t index, std::string_view key) {
    return fmt::format("pool[{}].{}", index + 1, key);
}

void find_double_names(const Settings& settings, Findings& findings) {
    const auto& pools = settings.pools;
    for (std::size_t i = 0; i < pools.size(); ++i) {
        const auto first = static_cast<std::size_t>(
            std::ranges::find(pools, pools[i].name, &PoolSettings::name) - pools.begin());
        if (first == i || pools[i].name.empty()) continue;
        findings.push_back({{pool_key(i, "name"), pool_key(first, "name")},
                            fmt::format("pool {} is called \"{}\" too: names are unique", first + 1,
                                        pools[i].name)});
    }
}

// "/srv/uploads/" for "/srv//uploads", so that one folder is inside another where its text starts
// with the other's.
std::string folder_text(const std::string& path) {
    std::string text = (std::filesystem::path(path) / "").lexically_normal().string();
    // A leading "//" is kept by the library, but it is the root on Linux.
    const std::size_t first = text.find_first_not_of('/');
    if (first == text.npos) return "/";
    return "/" + text.substr(first);
}

void compare_folders(const Settings& settings, std::size_t first, std::size_t second,
                     Findings& findings) {
    const PoolSettings& other = settings.pools[first];
    if (other.base_path.empty() || settings.pools[second].base_path.empty()) return;
    const std::string mine = folder_text(settings.pools[second].base_path);
    const std::string theirs = folder_text(other.base_path);
    const auto relation = mine == theirs             ? "is the folder of"
                          : mine.starts_with(theirs) ? "is inside the folder of"
                          : theirs.starts_with(mine) ? "holds the folder of"
                                                     : nullptr;
    if (!relation) return;
    findings.push_back(
        {{pool_key(second, "base_path"), pool_key(first, "base_path")},
         fmt::format("{} {} pool \"{}\" ({}): a file must have one home",
                     settings.pools[second].base_path, relation, other.name, other.base_path)});
}

void find_shared_folders(const Settings& settings, Findings& findings) {
    for (std::size_t second = 1; second < settings.pools.size(); ++second) {
        for (std::size_t first = 0; first < second; ++first)
            compare_folders(settings, first, second, findings);
    }
}

void find_no_pool(const Settings& settings, Findings& findings) {
    if (settings.pools.empty()) {
        findings.push_back({{"pool"}, "there is no pool: add a [[pool]] with name and base_path"});
        return;
    }
    if (std::ranges::any_of(settings.pools, &PoolSettings::is_active)) return;
    Finding finding{{}, "no pool is active: nothing could be served"};
    for (std::size_t i = 0; i < settings.pools.size(); ++i)
        finding.keys.push_back(pool_key(i, "is_active"));
    findings.push_back(std::move(finding));
}

// A value that a pool of this type must, or may not, have.
struct PoolValue {
    std::string_view key;
    bool is_set;
    std::string_view example;
};

std::vector<PoolValue> values_of_s3(const PoolSettings& pool) {
    return {
        {"bucket", !pool.bucket.empty(), "\"pixelfox-prod\""},
        {"region", !pool.region.empty(), "\"us-west-001\""},
        {"endpoint_url", !pool.endpoint_url.empty(), "\"https://s3.us-west-001.backblazeb2.com\""},
        {"access_key_id", !pool.access_key_id.empty(), "\"env:B2_KEY_ID\""},
        {"secret_access_key", !pool.secret_access_key.empty(), "\"file:/etc/tidepool/b2.key\""},
    };
}

void find_missing_in_s3(const PoolSettings& pool, std::size_t index, Findings& findings) {
    for (const PoolValue& value : values_of_s3(pool)) {
        if (value.is_set) continue;
        findings.push_back({{pool_key(index, value.key)},
                            fmt::format("is missing, which a pool of type s3 needs: write {} = {}",
                                        value.key, value.example)});
    }
    if (!pool.base_path.empty()) {
        findings.push_back({{pool_key(index, "base_path"), pool_key(index, "storage_type")},
                            "a pool of type s3 has no folder: remove base_path, or write "
                            "storage_type = \"local\""});
    }
    if (!pool.marker.empty()) {
        findings.push_back({{pool_key(index, "marker"), pool_key(index, "storage_type")},
                            "a pool of type s3 has no disk to be mounted: remove marker"});
    }
}

void find_missing_in_local(const PoolSettings& pool, std::size_t index, Findings& findings) {
    if (pool.base_path.empty()) {
        findings.push_back(
            {{pool_key(index, "base_path")}, "is missing: write base_path = \"/srv/uploads\""});
    }
    std::vector<PoolValue> foreign = values_of_s3(pool);
    foreign.push_back({"download_url", !pool.download_url.empty(), ""});
    foreign.push_back({"download_authorization", pool.download_authorization, ""});
    foreign.push_back({"path_prefix", !pool.path_prefix.empty(), ""});
    foreign.push_back({"serve", pool.serve != PoolSettings::Serve::proxy, ""});
    foreign.push_back({"origin", pool.origin != PoolSettings::Origin::s3, ""});
    for (const PoolValue& value : foreign) {
        if (!value.is_set) continue;
        findings.push_back(
            {{pool_key(index, value.key), pool_key(index, "storage_type")},
             fmt::format("{} belongs to pools of type s3, and this one is {}", value.key,
                         pool.storage_type == PoolSettings::Type::nfs ? "nfs" : "local")});
    }
    if (pool.is_backup_target) {
        findings.push_back(
            {{pool_key(index, "is_backup_target"), pool_key(index, "storage_type")},
             "a backup target is a pool of type s3: copies beside the originals are no backup"});
    }
}

void find_contradictions_in_authorization(const PoolSettings& pool, std::size_t index,
                                          Findings& findings) {
    using S = PoolSettings;
    if (!pool.download_authorization) return;
    const std::string key = pool_key(index, "download_authorization");
    // Those of a private pool are sent there by signed URLs.
    if (pool.serve == S::Serve::redirect && !pool.is_private()) {
        findings.push_back({{key, pool_key(index, "serve")},
                            "visitors who are sent to the bucket have no authorization: write "
                            "serve = \"proxy\", or make the bucket public and remove this"});
    } else if (pool.origin != S::Origin::friendly) {
        findings.push_back({{key, pool_key(index, "origin")},
                            "only a friendly origin is read with a download authorization: write "
                            "origin = \"friendly\""});
    }
    if (pool.native_url.empty()) {
        findings.push_back({{pool_key(index, "native_url"), key},
                            "is empty, and authorizations are fetched from there: write "
                            "native_url = \"https://api.backblazeb2.com\""});
    }
}

// What an s3 pool says about its store must fit together.
void find_contradictions_in_s3(const PoolSettings& pool, std::size_t index, Findings& findings) {
    using S = PoolSettings;
    if (pool.origin != S::Origin::s3 && pool.download_url.empty() && !pool.download_authorization) {
        findings.push_back({{pool_key(index, "origin"), pool_key(index, "download_url")},
                            "a friendly origin is fetched from download_url: add it, such as "
                            "\"https://f001.backblazeb2.com\""});
    }
    find_contradictions_in_authorization(pool, index, findings);
    if (pool.serve == S::Serve::redirect && pool.public_base_url.empty() && !pool.is_private()) {
        findings.push_back({{pool_key(index, "serve"), pool_key(index, "public_base_url")},
                            "redirects lead to public_base_url: add it, such as "
                            "\"https://images-b2.example\""});
    }
    constexpr std::string_view kB2 = ".backblazeb2.com";
    const std::size_t label = pool.endpoint_url.find("//s3.");
    if (label != std::string::npos && pool.endpoint_url.ends_with(kB2)) {
        const std::string named =
            pool.endpoint_url.substr(label + 5, pool.endpoint_url.size() - kB2.size() - label - 5);
        if (wrong_in_region(pool.region).empty() && !pool.region.empty() && named != pool.region) {
            findings.push_back({{pool_key(index, "region"), pool_key(index, "endpoint_url")},
                                fmt::format("the endpoint is in region \"{}\", so signatures for "
                                            "\"{}\" are refused",
                                            named, pool.region)});
        }
    }
    if (pool.addressing == S::Addressing::virtual_host &&
        pool.bucket.find('.') != std::string::npos && pool.endpoint_url.starts_with("https:")) {
        findings.push_back({{pool_key(index, "addressing"), pool_key(index, "bucket")},
                            "no certificate fits a bucket with a dot in a host's name: write "
                            "addressing = \"path\""});
    }
}

void find_wrong_pools(const Settings& settings, Findings& findings) {
    std::vector<std::string> defaults;
    for (std::size_t i = 0; i < settings.pools.size(); ++i) {
        const PoolSettings& pool = settings.pools[i];
        if (pool.storage_type == PoolSettings::Type::s3) {
            find_missing_in_s3(pool, i, findings);
            find_contradictions_in_s3(pool, i, findings);
            if (settings.catalog.url.empty()) {
                findings.push_back(
                    {{"catalog.url", pool_key(i, "storage_type")},
                     "a pool of type s3 needs a catalog, which says what is in it: catalog.url = "
                     "\"sqlite:/var/lib/tidepool/catalog.db\""});
            }
        } else {
            find_missing_in_local(pool, i, findings);
        }
        if (pool.is_default) defaults.push_back(pool_key(i, "is_default"));
    }
    if (defaults.size() > 1) {
        std::ranges::reverse(defaults);  // the later one is the one too many
        findings.push_back({defaults, "only one pool can be the default"});
    }
}

// A copy goes to one other pool that serves images, and to no backup.
void find_wrong_mirrors(const Settings& settings, Findings& findings) {
    for (std::size_t i = 0; i < settings.pools.size(); ++i) {
        const PoolSettings& pool = settings.pools[i];
        if (pool.mirror.empty()) continue;
        const std::string key = pool_key(i, "mirror");
        const auto other = std::ranges::find(settings.pools, pool.mirror, &PoolSettings::name);
        if (pool.is_backup_target) {
            findings.push_back({{key, pool_key(i, "is_backup_target")},
                                "a backup target has no mirror: remove one of them"});
        } else if (pool.mirror == pool.name) {
            findings.push_back({{key}, "is the pool itself: name another one"});
        } else if (other == settings.pools.end()) {
            findings.push_back({{key}, fmt::format("there is no pool \"{}\" here", pool.mirror)});
        } else if (other->is_backup_target) {
            findings.push_back({{key},
                                fmt::format("pool \"{}\" is a backup target, which holds "
                                            "originals under other names: name another "
                                            "pool",
                                            pool.mirror)});
        } else if (settings.catalog.url.empty()) {
            findings.push_back({{"catalog.url", key},
                                "a mirror needs a catalog, which says what has been copied: "
                                "catalog.url = \"sqlite:/var/lib/tidepool/catalog.db\""});
        }
    }
}

// The store behind an endpoint, however it is spelt. Of B2 there is one, as no two buckets there
// have one name, wherever they are.
std::string store_of(const std::string& endpoint_url) {
    std::string text = lower_case(endpoint_url);
    const bool is_plain = text.starts_with("http:");
    text.erase(0, std::min(text.find("//") + 2, text.size()));
    text.erase(std::min(text.find_first_of("/?#"), text.size()));
    const std::string_view port = is_plain ? ":80" : ":443";
    if (text.ends_with(port)) text.resize(text.size() - port.size());
    if (text.ends_with('.')) text.pop_back();
    if (text.ends_with(".backblazeb2.com")) return "b2";
    return fmt::format("{}{}", is_plain ? "http://" : "https://", text);
}

// Two pools in one bucket would each list, count and delete the other's objects.
void find_shared_buckets(const Settings& settings, Findings& findings) {
    const auto& pools = settings.pools;
    const auto place = [](const PoolSettings& pool) {
        return std::pair(pool.bucket, store_of(pool.endpoint_url));
    };
    for (std::size_t second = 1; second < pools.size(); ++second) {
        for (std::size_t first = 0; first < second; ++first) {
            if (pools[second].bucket.empty() || place(pools[first]) != place(pools[second]))
                continue;
            const std::string_view mine = pools[second].path_prefix;
            const std::string_view theirs = pools[first].path_prefix;
            if (!mine.starts_with(theirs) && !theirs.starts_with(mine)) continue;
            findings.push_back(
                {{pool_key(second, "bucket"), pool_key(first, "bucket")},
                 fmt::format("bucket \"{}\" is that of pool \"{}\" too: give each a path_prefix of "
                             "its own, or a bucket",
                             pools[second].bucket, pools[first].name)});
        }
    }
}

struct NamedAddress {
    std::string key;
    const ListenAddress& address;
};

std::vector<NamedAddress> all_addresses(const Settings& settings) {
    std::vector<NamedAddress> all;
    using Addresses = std::vector<ListenAddress>;
    const std::pair<std::string_view, const Addresses*> groups[] = {
        {"server.listen", &settings.server.listen},
        {"tls.listen", &settings.tls.listen},
        {"admin.listen", &settings.admin.listen}};
    for (const auto& [key, addresses] : groups) {
        std::size_t number = 0;
        for (const ListenAddress& each : *addresses)
            all.push_back({fmt::format("{}[{}]", key, ++number), each});
    }
    return all;
}

void find_double_addresses(const Settings& settings, Findings& findings) {
    const auto all = all_addresses(settings);
    for (std::size_t second = 1; second < all.size(); ++second) {
        for (std::size_t first = 0; first < second; ++first) {
            const auto& [mine, theirs] = std::tie(all[second], all[first]);
            if (!mine.address.collides_with(theirs.address)) continue;
            findings.push_back({{mine.key, theirs.key},
                                fmt::format("{} ({}) collides with {} ({})", mine.address.text(),
                                            mine.key, theirs.address.text(), theirs.key)});
        }
    }
}

void find_no_certificate(const Settings& settings, Findings& findings) {
    if (settings.tls.listen.empty() || !settings.certificates.empty()) return;
    findings.push_back({{"tls.listen"},
                        "there is no certificate: add a [[certificate]] with chain_file and "
                        "key_file"});
}

void find_wrong_order(const Settings& settings, Findings& findings) {
    const auto& [limits, timeouts, cache] =
        std::tie(settings.limits, settings.timeouts, settings.cache);
    // Without a memory cache the size of its objects means nothing.
    if (cache.memory_bytes != 0 && cache.memory_object_bytes > cache.memory_bytes) {
        findings.push_back(
            {{"cache.memory_object_max", "cache.memory"},
             fmt::format("cache.memory_object_max ({}) is larger than cache.memory ({})",
                         format_size(cache.memory_object_bytes), format_size(cache.memory_bytes))});
    }
    if (limits.request_line_bytes > limits.header_bytes) {
        findings.push_back(
            {{"limits.request_line", "limits.headers"},
             fmt::format(
                 "limits.request_line ({}) is larger than limits.headers ({}), of which it is a "
                 "part",
                 format_size(limits.request_line_bytes), format_size(limits.header_bytes))});
    }
    const ServerSettings& server = settings.server;
    if (server.drain_idle > server.drain_timeout) {
        findings.push_back(
            {{"server.drain_idle", "server.drain_timeout"},
             fmt::format("server.drain_idle ({}) is longer than server.drain_timeout ({}), after "
                         "which every connection is cut",
                         format_duration(server.drain_idle),
                         format_duration(server.drain_timeout))});
    }
    if (limits.connections_per_peer > limits.connections) {
        findings.push_back(
            {{"limits.connections_per_peer", "limits.connections"},
             fmt::format("limits.connections_per_peer ({}) is more than limits.connections ({}): "
                         "one stranger could take them all",
                         limits.connections_per_peer, limits.connections)});
    }
    if (timeouts.idle > timeouts.idle_edge) {
        findings.push_back(
            {{"timeouts.idle", "timeouts.idle_edge"},
             fmt::format(
                 "timeouts.idle ({}) is longer than timeouts.idle_edge ({}): strangers would be "
                 "kept longer than the edge",
                 format_duration(timeouts.idle), format_duration(timeouts.idle_edge))});
    }
}

void find_wrong_profile(const VariantProfile& profile, const std::string& name,
                        Findings& findings) {
    for (const std::string& format : profile.at_upload) {
        if (std::ranges::find(profile.formats, format) != profile.formats.end()) continue;
        findings.push_back({{name + ".at_upload", name + ".formats"},
                            fmt::format("\"{}\" is not one of its formats, so it cannot be made at "
                                        "upload",
                                        format)});
    }
    // "inside" alone can do with one side, or none.
    if (profile.fit != VariantProfile::Fit::inside && (profile.width == 0 || profile.height == 0)) {
        findings.push_back({{name + ".fit", name + ".width", name + ".height"},
                            "needs both width and height: add them, or write fit = \"inside\""});
    }
    const bool full_size = profile.width == 0 && profile.height == 0;
    if (profile.name.empty() && full_size &&
        std::ranges::find(profile.formats, "original") != profile.formats.end()) {
        findings.push_back({{name + ".formats", name + ".name"},
                            "the original's size in the original's format is the original: remove "
                            "\"original\", or give the profile a size"});
    }
}

void find_wrong_profiles(const Settings& settings, Findings& findings) {
    const auto& profiles = settings.profiles;
    for (std::size_t i = 0; i < profiles.size(); ++i) {
        const std::string name = fmt::format("profile[{}]", i + 1);
        const auto first = static_cast<std::size_t>(
            std::ranges::find(profiles, profiles[i].name, &VariantProfile::name) -
            profiles.begin());
        if (first != i) {
            findings.push_back({{name + ".name", fmt::format("profile[{}].name", first + 1)},
                                fmt::format("profile {} is called \"{}\" too: names are unique",
                                            first + 1, profiles[i].name)});
        }
        find_wrong_profile(profiles[i], name, findings);
    }
}

constexpr std::size_t kLeastKeyBytes = 16;

// What is wrong is said of where a secret comes from, never of itself (invariant 10).
void find_wrong_secrets(const std::vector<Secret>& secrets, const std::string& name,
                        std::size_t least_bytes, Findings& findings) {
    for (std::size_t i = 0; i < secrets.size(); ++i) {
        const std::string key = fmt::format("{}[{}]", name, i + 1);
        const auto bytes = parse_hex(secrets[i].reveal());
        if (secrets[i].empty()) {
            findings.push_back({{key}, "expected \"env:NAME\" or \"file:/PATH\""});
        } else if (!bytes) {
            findings.push_back({{key}, "is not written in pairs of hex digits"});
        } else if (bytes->size() < least_bytes) {
            findings.push_back({{key},
                                fmt::format("has {} bytes, which is too short: expected at "
                                            "least {}",
                                            bytes->size(), least_bytes)});
        }
    }
}

void find_wrong_signing(const Settings& settings, Findings& findings) {
    const VariantSettings& variants = settings.variants;
    find_wrong_secrets(variants.signing_keys, "variants.signing_keys", kLeastKeyBytes, findings);
    find_wrong_secrets(variants.signing_salts, "variants.signing_salts", 1, findings);
    if (variants.signing_keys.size() == variants.signing_salts.size()) return;
    findings.push_back({{"variants.signing_salts", "variants.signing_keys"},
                        fmt::format("there are {} salts for {} keys: each key has one of its own",
                                    variants.signing_salts.size(), variants.signing_keys.size())});
}

void find_weak_secret(const Secret& secret, std::string_view key, Findings& findings) {
    if (secret.empty() || secret.reveal().size() >= kLeastKeyBytes) return;
    findings.push_back({{std::string(key)},
                        fmt::format("has {} bytes, which can be guessed: expected at least {}",
                                    secret.reveal().size(), kLeastKeyBytes)});
}

void find_wrong_upload(const Settings& settings, Findings& findings) {
    const UploadSettings& upload = settings.upload;
    find_weak_secret(upload.token_secret, "upload.token_secret", findings);
    find_weak_secret(upload.token_secret_previous, "upload.token_secret_previous", findings);
    find_weak_secret(upload.replicate_secret, "upload.replicate_secret", findings);
    if (upload.spool_size_bytes < upload.max_size_bytes) {
        findings.push_back({{"upload.spool_size", "upload.max_size"},
                            "a file of upload.max_size would never fit into upload.spool_size"});
    }
    const bool takes_any = !upload.token_secret.empty() || !upload.replicate_secret.empty();
    if (takes_any && settings.catalog.url.empty()) {
        findings.push_back(
            {{upload.token_secret.empty() ? "upload.replicate_secret" : "upload.token_secret",
              "catalog.url"},
             "uploads need a catalog, which says what is where: catalog.url = "
             "\"sqlite:/var/lib/tidepool/catalog.db\""});
    }
}

// Outside of what URLs name nothing is served, so that a prefix there protects nothing. In a bucket
// any key can have a URL.
void find_useless_prefixes(const Settings& settings, Findings& findings) {
    const bool has_bucket = std::ranges::any_of(settings.pools, [](const PoolSettings& pool) {
        return pool.storage_type == PoolSettings::Type::s3;
    });
    const std::string keys = settings.server.url_prefix.substr(1);
    std::size_t number = 0;
    for (const std::string& prefix : settings.private_images.prefixes) {
        const std::string name = fmt::format("private.prefixes[{}]", ++number);
        const bool is_prefix = wrong_in_key_prefix(prefix).empty();
        if (has_bucket || !is_prefix || prefix.starts_with(keys)) continue;
        findings.push_back({{name, "server.url_prefix"},
                            fmt::format("all keys begin with \"{0}\", so nothing is below \"{1}\": "
                                        "write \"{0}{1}\"",
                                        keys, prefix)});
    }
}

void find_wrong_private(const Settings& settings, Findings& findings) {
    const PrivateSettings& hidden = settings.private_images;
    find_weak_secret(hidden.signing_key, "private.signing_key", findings);
    find_weak_secret(hidden.signing_key_previous, "private.signing_key_previous", findings);
    find_useless_prefixes(settings, findings);
    if (hidden.quantum > hidden.ttl / 2) {
        findings.push_back(
            {{"private.quantum", "private.ttl"},
             fmt::format("private.quantum ({}) is more than half of private.ttl "
                         "({}): a new signature could be all but over",
                         format_duration(hidden.quantum), format_duration(hidden.ttl))});
    }
    if (!hidden.signing_key.empty()) return;
    constexpr auto kHint =
        "there is no key, so nobody could sign a URL: write private.signing_key = "
        "\"file:/etc/tidepool/private.key\"";
    if (!hidden.prefixes.empty())
        findings.push_back({{"private.prefixes", "private.signing_key"}, kHint});
    if (!hidden.signing_key_previous.empty())
        findings.push_back({{"private.signing_key_previous", "private.signing_key"}, kHint});
    for (std::size_t i = 0; i < settings.pools.size(); ++i) {
        if (settings.pools[i].is_private())
            findings.push_back({{pool_key(i, "visibility"), "private.signing_key"}, kHint});
    }
}

// A value that no client could send, or that would be taken for another on its way.
void find_unsendable_secret(const Secret& secret, std::string_view key, Findings& findings) {
    const auto is_visible = [](char c) { return c > ' ' && c < 0x7f; };
    if (std::ranges::all_of(secret.reveal(), is_visible)) return;
    findings.push_back({{std::string(key)},
                        "holds a blank, or a character that is no visible one of ASCII, and "
                        "stands in a header"});
}

void find_wrong_edge(const Settings& settings, Findings& findings) {
    const EdgeSettings& edge = settings.edge;
    if (!edge.client_ca_files.empty() && settings.tls.listen.empty()) {
        findings.push_back({{"edge.client_ca_files", "tls.listen"},
                            "certificates are shown over TLS, and nothing listens for it: write "
                            "tls.listen"});
    }
    if (edge.client_ca_files.empty() && !edge.client_pins.empty()) {
        findings.push_back({{"edge.client_pins", "edge.client_ca_files"},
                            "nobody is asked for a certificate: write client_ca_files"});
    }
    if (edge.client_ca_files.empty() && !edge.client_ca_except.empty()) {
        findings.push_back({{"edge.client_ca_except", "edge.client_ca_files"},
                            "nobody is asked for a certificate: write client_ca_files"});
    }
    for (const ListenAddress& address : edge.client_ca_except) {
        const auto is_one_of = [&address](const std::vector<ListenAddress>& listen) {
            return std::ranges::find(listen, address) != listen.end();
        };
        if (!is_one_of(settings.tls.listen) && !is_one_of(settings.server.listen)) {
            findings.push_back({{"edge.client_ca_except", "tls.listen", "server.listen"},
                                fmt::format("nothing listens on {}: write an address of tls.listen "
                                            "or server.listen as it stands there",
                                            address.text())});
        }
    }
    for (const auto& [secret, key] : {std::pair(&edge.secret, "edge.secret"),
                                      std::pair(&edge.secret_previous, "edge.secret_previous")}) {
        find_weak_secret(*secret, key, findings);
        find_unsendable_secret(*secret, key, findings);
    }
    const bool has_header = !edge.secret_header.empty();
    if (has_header && edge.secret.empty()) {
        findings.push_back({{"edge.secret_header", "edge.secret"},
                            "no secret is right: write secret = \"env:NAME\" or \"file:/PATH\""});
    }
    if (!has_header && !(edge.secret.empty() && edge.secret_previous.empty())) {
        findings.push_back(
            {{edge.secret.empty() ? "edge.secret_previous" : "edge.secret", "edge.secret_header"},
             "nobody is asked for it: write secret_header = \"X-Origin-Key\""});
    }
    if (has_header && wrong_in_secret_header(edge.secret_header).empty() &&
        lower_case(edge.secret_header) == lower_case(edge.client_address_header)) {
        findings.push_back({{"edge.secret_header", "edge.client_address_header"},
                            "one header holds one thing: take another name for the secret"});
    }
}

// One rule counts a client's requests for a key, and its bucket can be told from others'.
void find_wrong_rate_limits(const Settings& settings, Findings& findings) {
    constexpr auto kMostFilling = std::chrono::hours(30 * 24);
    const auto& rules = settings.rate_limit;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const std::string name = fmt::format("rate_limit[{}]", i + 1);
        const auto first = static_cast<std::size_t>(
            std::ranges::find(rules, rules[i].prefix, &RateLimitRule::prefix) - rules.begin());
        if (first != i) {
            findings.push_back(
                {{name + ".prefix", fmt::format("rate_limit[{}].prefix", first + 1)},
                 fmt::format("rule {} is for the same keys: remove one of them", first + 1)});
        }
        if (rules[i].requests == 0) continue;  // which has been said
        if (rules[i].per / rules[i].requests * rules[i].burst > kMostFilling) {
            findings.push_back({{name + ".burst", name + ".requests", name + ".per"},
                                "takes more than 30 days to come back: allow less at once, or more "
                                "in that time"});
        }
    }
}

void compare_watermarks(unsigned low, unsigned high, std::string_view tier, Findings& findings) {
    if (low < high) return;
    findings.push_back(
        {{fmt::format("tiering.{}_watermark_low", tier),
          fmt::format("tiering.{}_watermark_high", tier)},
         fmt::format("tiering.{0}_watermark_low ({1}) is not below tiering.{0}_watermark_high "
                     "({2}): a sweep that begins above the one ends below the other",
                     tier, low, high)});
}

void find_wrong_tiering(const Settings& settings, Findings& findings) {
    const TieringSettings& tiering = settings.tiering;
    compare_watermarks(tiering.hot_watermark_low, tiering.hot_watermark_high, "hot", findings);
    compare_watermarks(tiering.warm_watermark_low, tiering.warm_watermark_high, "warm", findings);
    if (!tiering.enabled) return;
    if (settings.catalog.url.empty()) {
        findings.push_back({{"tiering.enabled", "catalog.url"},
                            "tiering needs a catalog, which says what is where: catalog.url = "
                            "\"sqlite:/var/lib/tidepool/catalog.db\""});
    }
    if (tiering.views_flush.count() == 0) {
        findings.push_back({{"tiering.views_flush", "tiering.enabled"},
                            "without views every image counts as idle: write views_flush = "
                            "\"10s\""});
    }
}

// What is set aside must not have the keys of objects.
void find_wrong_purge(const Settings& settings, Findings& findings) {
    const PurgeSettings& purge = settings.purge;
    if (purge.zone_id.empty()) return;
    if (purge.api_token.empty()) {
        findings.push_back(
            {{"purge.api_token", "purge.zone_id"},
             "needs api_token, without which nothing can be purged: write api_token = "
             "\"file:/etc/tidepool/purge.token\""});
    }
    find_unsendable_secret(purge.api_token, "purge.api_token", findings);
    const auto has_host = [](const PoolSettings& pool) { return !pool.public_base_url.empty(); };
    if (purge.by != PurgeSettings::By::tags && purge.hosts.empty() &&
        zone_names(settings.edge.hosts).empty() && settings.upload.public_base_url.empty() &&
        std::ranges::none_of(settings.pools, has_host)) {
        findings.push_back({{"purge.hosts", "purge.zone_id"},
                            "needs hosts, as no URL is known that could be purged: write hosts = "
                            "[\"https://images.example\"]"});
    }
    const bool wants_tags =
        purge.by == PurgeSettings::By::tags || purge.by == PurgeSettings::By::both;
    if (wants_tags &&
        std::ranges::find(settings.edge.cache_tags, "image") == settings.edge.cache_tags.end()) {
        findings.push_back({{"purge.by", "edge.cache_tags"},
                            fmt::format("by = \"{}\" names images by a tag that no answer has: "
                                        "write cache_tags = [\"image\"] in [edge], or by = "
                                        "\"urls\"",
                                        purge.by == PurgeSettings::By::tags ? "tags" : "both")});
    }
    const auto is_reached_past_us = [](const PoolSettings& pool) {
        return pool.storage_type == PoolSettings::Type::s3 && !pool.public_base_url.empty();
    };
    if (purge.by == PurgeSettings::By::tags &&
        std::ranges::any_of(settings.pools, is_reached_past_us)) {
        findings.push_back({{"purge.by", "pool.public_base_url"},
                            "names images by tags, which a bucket with a public_base_url of its "
                            "own does not send: write by = \"both\""});
    }
    for (const std::string& origin : purge.origins) {
        if (origin == "*")
            findings.push_back(
                {{"purge.origins"}, "\"*\" is no origin that a browser sends: write each of them"});
    }
    for (const std::string& host : purge.hosts) {
        if (host.empty())
            findings.push_back({{"purge.hosts"},
                                "expected a URL such as "
                                "\"https://images.example\", not \"\""});
    }
}

void find_served_quarantine(const Settings& settings, Findings& findings) {
    const std::string keys = settings.server.url_prefix.substr(1);
    const std::string& aside = settings.reconcile.quarantine_prefix;
    if (keys.empty() || (!keys.starts_with(aside) && !aside.starts_with(keys))) return;
    findings.push_back({{"reconcile.quarantine_prefix", "server.url_prefix"},
                        fmt::format("all keys begin with \"{}\", so what is set aside needs "
                                    "another prefix than \"{}\"",
                                    keys, aside)});
}

bool matches_server_errors(const CacheControlRule& rule) {
    return rule.status.empty() ||
           std::ranges::any_of(rule.status, [](auto& each) { return each.starts_with('5'); });
}

// Invariant 8: an error is never cached as the truth, whatever the operator's rules say.
void find_cached_errors(const Settings& settings, Findings& findings) {
    using Rule = CacheControlRule;
    const std::pair<std::string_view, std::string Rule::*> headers[] = {
        {"cache_control", &Rule::cache_control},
        {"cdn_cache_control", &Rule::cdn_cache_control},
        {"cloudflare_cdn_cache_control", &Rule::cloudflare_cdn_cache_control},
    };
    std::size_t number = 0;
    for (const Rule& rule : settings.cache_control) {
        const std::string name = fmt::format("cache_control[{}]", ++number);
        if (!matches_server_errors(rule)) continue;
        const auto hint = rule.status.empty()
                              ? "a rule without status matches 5xx, which must be no-store: add a "
                                "status such as [\"200\"]"
                              : "5xx must be no-store, for caches would keep the error";
        for (const auto& [key, member] : headers) {
            const std::string& value = rule.*member;
            if (value.empty() || has_directive(value, "no-store")) continue;
            findings.push_back({{fmt::format("{}.{}", name, key), name + ".status"}, hint});
        }
    }
}

}  // namespace

Findings find_wrong_settings(const Settings& settings) {
    Findings findings;
    for (const SectionSchema& section : settings_schema())
        section.check(settings, findings);
    for (const auto find :
         {find_no_pool, find_double_names, find_wrong_pools, find_shared_folders,
          find_shared_buckets, find_wrong_mirrors, find_double_addresses, find_no_certificate,
          find_wrong_order, find_wrong_profiles, find_wrong_signing, find_wrong_private,
          find_wrong_upload, find_wrong_edge, find_wrong_rate_limits, find_wrong_tiering,
          find_wrong_purge, find_served_quarantine, find_cached_errors}) {
        find(settings, findings);
    }
    return findings;
}

std::string_view need_of_catalog(const Settings& settings) {
    const auto is_bucket = [](const PoolSettings& pool) {
        return pool.storage_type == PoolSettings::Type::s3;
    };
    const auto has_mirror = [](const PoolSettings& pool) { return !pool.mirror.empty(); };
    if (std::ranges::any_of(settings.pools, is_bucket)) return "a pool of type s3";
    if (std::ranges::any_of(settings.pools, has_mirror)) return "a mirror";
    const UploadSettings& upload = settings.upload;
    if (!upload.token_secret.empty() || !upload.replicate_secret.empty()) return "uploads";
    return settings.tiering.enabled ? "tiering" : "";
}

}  // namespace tidepool::conf
