#include "storage/visitor_urls.h"

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

void sort_once(auto& items) {
    std::ranges::sort(items);
    const auto repeated = std::ranges::unique(items);
    items.erase(repeated.begin(), repeated.end());
}

}  // namespace

std::vector<VisitorUrl> visitor_urls(const VisitorPlaces& places,
                                     std::span<const std::string> keys) {
    std::vector<std::string> paths;
    for (const std::string& key : keys) {
        add_path(paths, "/" + key);
        for (const VisitorPlaces::Bucket& bucket : places.buckets) {
            const std::string folder = "/file/" + bucket.name + "/";
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
