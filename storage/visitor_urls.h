// Under which URLs visitors can have an object, as the edge keeps an answer of each apart. Pure.
#pragma once

#include "conf/settings.h"
#include "storage/image_key.h"

#include <compare>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// Where visitors find objects.
struct VisitorPlaces {
    // A bucket whose objects are had in B2's own form, /file/NAME/KEY (mode B, contracts:
    // pixelfox.md); by the edge alone with what the pool writes before its keys, too.
    struct Bucket {
        std::string name;
        std::string path_prefix;
        auto operator<=>(const Bucket&) const = default;
    };
    std::vector<std::string> hosts;  // base URLs, without a slash at their end
    std::vector<Bucket> buckets;
    std::vector<std::string> origins;  // values of Origin with which pages ask, beside none
};

// "https://images.example" for each name in edge.hosts. What "*.example" stands for, nobody can
// list.
std::vector<std::string> named_hosts(const conf::EdgeSettings& edge);
// The same settings with the hosts of a change besides: under the names of both the edge may have
// been given something.
conf::Settings with_hosts_of(conf::Settings settings, const conf::EdgeSettings& change);
// What the settings name, pools aside.
VisitorPlaces visitor_places(const conf::Settings& settings);
// Also of pools that are not active: the edge has what it was given before.
void add_pool(VisitorPlaces& places, const conf::PoolSettings& pool);

// As the edge's API names what begins so: "images.example/uploads" of
// "https://images.example/uploads/".
std::string edge_prefix(std::string_view url);
// "/file/NAME/", what stands before a key in B2's own form.
std::string root_of_bucket(std::string_view name);
// What the paths of images begin with on each host that leads to us: `url_prefix`, and where there
// are buckets "/images/" (variant 2 of the keys, contracts: pixelfox.md) and "/file/NAME/" of each.
// In this order, each once.
std::vector<std::string> image_paths(const std::string& url_prefix,
                                     std::span<const std::string> buckets);
// The same on all hosts, as the edge's API names prefixes: "images.example/uploads".
std::vector<std::string> edge_prefixes(const VisitorPlaces& places, const std::string& url_prefix);

struct VisitorUrl {
    std::string url;
    std::string origin{};  // "" = asked for without one
    auto operator<=>(const VisitorUrl&) const = default;
};

// All URLs of these keys: on each host, in mode A and B, without Origin and with each. Percent-
// encoded as our own links are and, where that differs, as browsers send what somebody typed in.
// Sorted, each once.
std::vector<VisitorUrl> visitor_urls(const VisitorPlaces& places,
                                     std::span<const std::string> keys);

// The same of one URL that is known as a whole: with each of the origins.
std::vector<VisitorUrl> with_origins(std::string url, std::span<const std::string> origins);

}  // namespace tidepool::storage
