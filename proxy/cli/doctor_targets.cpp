#include "proxy/cli/doctor_targets.h"

#include "conf/random_name.h"
#include "conf/url_path.h"
#include "proxy/serve/cache_policy.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::ObjectRecord;

constexpr std::size_t kMostLooked = 500;           // rows and files, until one is found
constexpr std::uint64_t kMostAsked = 32ULL << 20;  // bytes of an image that is fetched to look

// As browsers and our own links have it; keys that need more than that are left out.
bool is_plain_key(std::string_view key) {
    return std::ranges::all_of(key, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '/' || c == '_' || c == '.' || c == '-';
    });
}

bool is_private_key(const ZoneSetup& setup, std::string_view key) {
    return std::ranges::any_of(setup.facts.private_prefixes,
                               [key](auto& prefix) { return key.starts_with(prefix); });
}

// Whether everybody may see it.
bool is_public(Workspace& workspace, const ObjectRecord& object) {
    if (!object.image) return true;
    const auto image = workspace.catalog().find_image(*object.image);
    return image && (!*image || !(*image)->is_private);
}

bool is_askable(const ZoneSetup& setup, std::string_view key, std::uint64_t size) {
    return size > 1 && size <= kMostAsked && is_plain_key(key) && !is_private_key(setup, key);
}

bool is_for_us(const KnownPool* pool, bool is_direct) {
    if (pool == nullptr || !pool->settings.is_active || pool->settings.is_private()) return false;
    return is_direct || pool->settings.serve == conf::PoolSettings::Serve::proxy;
}

// A key that the catalog has in these pools.
std::optional<std::string> key_in_catalog(const ZoneSetup& setup, Workspace& workspace,
                                          const KnownPool* of) {
    const auto rows = workspace.catalog().list(of == nullptr ? std::nullopt : std::optional(of->id),
                                               setup.facts.url_prefix.substr(1), "", kMostLooked);
    if (!rows) return std::nullopt;
    for (const ObjectRecord& row : *rows) {
        if (is_askable(setup, row.key, row.size) &&
            is_for_us(workspace.find_pool(row.pool), of != nullptr) && is_public(workspace, row))
            return row.key;
    }
    return std::nullopt;
}

// What lies in a folder or bucket, and was not adopted yet.
std::optional<std::string> key_in_pool(const ZoneSetup& setup, Workspace& workspace,
                                       const KnownPool& pool) {
    if (!pool.problem.empty()) return std::nullopt;
    const auto page =
        workspace.driver(pool).list(setup.facts.url_prefix.substr(1), "", kMostLooked);
    if (!page) return std::nullopt;
    const auto found = std::ranges::find_if(page->objects, [&](const storage::ObjectInfo& info) {
        return is_askable(setup, info.key, info.size) &&
               is_public(workspace, storage::object_record(info.key, pool.id));
    });
    if (found == page->objects.end()) return std::nullopt;
    return found->key;
}

std::optional<std::string> find_our_key(const ZoneSetup& setup, Workspace& workspace) {
    if (auto key = key_in_catalog(setup, workspace, nullptr)) return key;
    for (const KnownPool& pool : workspace.pools()) {
        if (!is_for_us(&pool, false)) continue;
        if (auto key = key_in_pool(setup, workspace, pool)) return key;
    }
    return std::nullopt;
}

std::string cache_control_of(const ZoneSetup& setup, std::string_view url, bool is_direct) {
    if (is_direct) return setup.facts.cache_control;
    const auto question = edge::read_question(url);
    if (!question) return "";
    const std::string_view path = question->path();
    for (const std::string& root : setup.facts.roots) {
        if (root != "/" && path.starts_with(root)) return "";
    }
    // Of a type that no rule of the defaults looks at.
    return std::string(serve::CachePolicy(setup.settings.cache_control)
                           .cache_control(path.substr(1), 200, "image/jpeg"));
}

}  // namespace

std::string our_base_url(const ZoneSetup& setup) {
    if (!setup.settings.upload.public_base_url.empty())
        return setup.settings.upload.public_base_url;
    if (!setup.settings.purge.hosts.empty()) return setup.settings.purge.hosts.front();
    for (const std::string& host : setup.facts.hosts) {
        if (!host.starts_with("*.")) return "https://" + host;
    }
    return "";
}

Result<DoctorTarget> target_of(const ZoneSetup& setup, const std::string& url) {
    const auto question = edge::read_question(url);
    if (!question) return std::unexpected(question.error());
    if (question->host.empty())
        return fail(ErrorKind::invalid, url + ": a URL with its host is needed");
    const std::string host = edge::host_of_url(url);
    const bool is_direct = std::ranges::find(setup.facts.direct, host, &edge::DirectHost::host) !=
                           setup.facts.direct.end();
    return DoctorTarget{.url = url,
                        .examined = {.is_direct = is_direct,
                                     .is_tls = url.starts_with("https://"),
                                     .cache_control = cache_control_of(setup, url, is_direct)}};
}

DoctorTargets find_targets(const ZoneSetup& setup, Workspace* workspace) {
    DoctorTargets found;
    const auto add = [&](const std::string& base, const std::optional<std::string>& key,
                         std::string_view whose) {
        auto target = key ? target_of(setup, base + "/" + *key) : Result<DoctorTarget>();
        if (key && target) {
            found.targets.push_back(std::move(*target));
        } else {
            found.gaps.push_back(fmt::format(
                "no image of {} is known that everybody may see: name a URL of one", whose));
        }
    };
    const std::string base = our_base_url(setup);
    if (!base.empty()) {
        const auto key = workspace == nullptr ? std::nullopt : find_our_key(setup, *workspace);
        const std::string first = edge::host_of_url(base);
        add(base, key, first);
        for (const std::string& host : setup.facts.hosts) {
            if (host.starts_with("*.")) {
                found.gaps.push_back(
                    fmt::format("{} stands for any host: name a URL of each that there is", host));
            } else if (host != first) {
                add(base.substr(0, base.find("://")) + "://" + host, key, host);
            }
        }
    }
    for (const edge::DirectHost& direct : setup.facts.direct) {
        if (workspace == nullptr) {
            add("", std::nullopt, direct.host);
            continue;
        }
        const auto pool = workspace->find_pool(direct.pool);
        if (!pool) continue;
        auto key = key_in_catalog(setup, *workspace, *pool);
        if (!key) key = key_in_pool(setup, *workspace, **pool);
        add((*pool)->settings.public_base_url, key, direct.host);
    }
    return found;
}

std::vector<std::string> fenced_paths(const ZoneSetup& setup) {
    const std::string name = "doctor-" + conf::random_name();
    std::vector<std::string> paths{fmt::format("/file/{}/a.jpg", name)};
    if (setup.facts.private_prefixes.empty()) return paths;
    const std::string prefix = conf::escaped_path(setup.facts.private_prefixes.front());
    paths.push_back(fmt::format("/{}{}.jpg", prefix, name));
    if (const std::size_t slash = prefix.rfind('/'); slash != prefix.npos)
        paths.push_back(
            fmt::format("/{}%2F{}{}.jpg", prefix.substr(0, slash), prefix.substr(slash + 1), name));
    return paths;
}

std::optional<PrivateTarget> private_target(const ZoneSetup& setup, Workspace* workspace) {
    const conf::PrivateSettings& access = setup.settings.private_images;
    const std::string base = our_base_url(setup);
    if (access.prefixes.empty() || access.signing_key.empty() || base.empty()) return std::nullopt;
    for (const std::string& prefix : access.prefixes) {
        if (workspace == nullptr) break;
        const auto rows = workspace->catalog().list(std::nullopt, prefix, "", kMostLooked);
        if (!rows) continue;
        for (const ObjectRecord& row : *rows) {
            if (is_plain_key(row.key) && row.size <= kMostAsked)
                return PrivateTarget{base + "/" + row.key, true};
        }
    }
    // What is not there is refused all the same, so that nobody learns what is.
    return PrivateTarget{
        fmt::format("{}/{}doctor-{}.jpg", base, access.prefixes.front(), conf::random_name()),
        false};
}

}  // namespace tidepool::cli
