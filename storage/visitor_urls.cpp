#include "storage/visitor_urls.h"

#include "conf/host_pattern.h"
#include "storage/sigv4.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

// What browsers encode in a path: the path percent-encode set of the URL standard, and '%', which
// a key holds as itself.
bool is_encoded_by_browsers(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte >= 0x7f ||
           std::string_view("\"#<>?^`{}%").find(c) != std::string_view::npos;
}

std::string as_browsers_send(std::string_view path) {
    std::string text;
    text.reserve(path.size());
    for (const char c : path) {
        if (is_encoded_by_browsers(c)) {
            text += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        } else {
            text.push_back(c);
        }
    }
    return text;
}

// Both spellings, which are mostly the same.
void add_path(std::vector<std::string>& paths, const std::string& path) {
    paths.push_back(encode_path(path));
    paths.push_back(as_browsers_send(path));
}

void add_new(std::vector<std::string>& list, std::string text) {
    if (std::ranges::find(list, text) == list.end()) list.push_back(std::move(text));
}

void sort_once(auto& items) {
    std::ranges::sort(items);
    const auto repeated = std::ranges::unique(items);
    items.erase(repeated.begin(), repeated.end());
}

}  // namespace

std::string edge_prefix(std::string_view url) {
    const std::size_t scheme = url.find("://");
    std::string_view text = url.substr(scheme == url.npos ? 0 : scheme + 3);
    while (text.ends_with('/'))
        text.remove_suffix(1);
    return std::string(text);
}

std::string root_of_bucket(std::string_view name) {
    return fmt::format("/file/{}/", name);
}

std::vector<std::string> named_hosts(const conf::EdgeSettings& edge) {
    std::vector<std::string> hosts;
    for (const std::string& name : conf::zone_names(edge.hosts))
        hosts.push_back("https://" + name);
    return hosts;
}

conf::Settings with_hosts_of(conf::Settings settings, const conf::EdgeSettings& change) {
    std::vector<std::string>& hosts = settings.edge.hosts;
    hosts.insert(hosts.end(), change.hosts.begin(), change.hosts.end());
    return settings;
}

VisitorPlaces visitor_places(const conf::Settings& settings) {
    VisitorPlaces places{
        .hosts = settings.purge.hosts, .buckets = {}, .origins = settings.purge.origins};
    if (!settings.upload.public_base_url.empty())
        add_new(places.hosts, settings.upload.public_base_url);
    for (std::string& host : named_hosts(settings.edge))
        add_new(places.hosts, std::move(host));
    return places;
}

void add_pool(VisitorPlaces& places, const conf::PoolSettings& pool) {
    if (!pool.public_base_url.empty()) add_new(places.hosts, pool.public_base_url);
    if (!pool.bucket.empty()) places.buckets.push_back({pool.bucket, pool.path_prefix});
}

std::vector<std::string> image_paths(const std::string& url_prefix,
                                     std::span<const std::string> buckets) {
    std::vector<std::string> paths{url_prefix};
    if (!buckets.empty()) add_new(paths, "/images/");
    for (const std::string& bucket : buckets)
        add_new(paths, root_of_bucket(bucket));
    return paths;
}

std::vector<std::string> edge_prefixes(const VisitorPlaces& places, const std::string& url_prefix) {
    std::vector<std::string> buckets;
    for (const VisitorPlaces::Bucket& bucket : places.buckets)
        buckets.push_back(bucket.name);
    std::vector<std::string> prefixes;
    for (const std::string& host : places.hosts) {
        for (const std::string& path : image_paths(url_prefix, buckets))
            add_new(prefixes, edge_prefix(host + path));
    }
    return prefixes;
}

std::vector<VisitorUrl> visitor_urls(const VisitorPlaces& places,
                                     std::span<const std::string> keys) {
    std::vector<std::string> paths;
    for (const std::string& key : keys) {
        add_path(paths, "/" + key);
        for (const VisitorPlaces::Bucket& bucket : places.buckets) {
            const std::string folder = root_of_bucket(bucket.name);
            add_path(paths, folder + key);
            if (!bucket.path_prefix.empty()) add_path(paths, folder + bucket.path_prefix + key);
        }
    }
    sort_once(paths);
    std::vector<VisitorUrl> urls;
    for (const std::string& host : places.hosts) {
        for (const std::string& path : paths)
            std::ranges::move(with_origins(host + path, places.origins), std::back_inserter(urls));
    }
    sort_once(urls);
    return urls;
}

std::vector<VisitorUrl> with_origins(std::string url, std::span<const std::string> origins) {
    std::vector<VisitorUrl> urls;
    for (const std::string& origin : origins)
        urls.push_back({url, origin});
    urls.push_back({std::move(url)});
    sort_once(urls);
    return urls;
}

}  // namespace tidepool::storage
