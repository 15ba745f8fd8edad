#include "storage/visitor_urls.h"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace tidepool::storage;

namespace {

std::vector<std::string> urls_only(const std::vector<VisitorUrl>& urls) {
    std::vector<std::string> texts;
    for (const VisitorUrl& url : urls)
        texts.push_back(url.origin.empty() ? url.url : url.url + " " + url.origin);
    return texts;
}

}  // namespace

TEST_CASE("visitor urls: each host, mode and origin has its own", "[storage][purge]") {
    const VisitorPlaces places{.hosts = {"https://b.example", "https://a.example/x"},
                               .buckets = {{"one", ""}, {"two", "pre/"}},
                               .origins = {"https://site.example"}};
    const std::vector<std::string> keys{"uploads/a.jpg"};
    const auto urls = visitor_urls(places, keys);
    CHECK(urls_only(urls) ==
          std::vector<std::string>{
              "https://a.example/x/file/one/uploads/a.jpg",
              "https://a.example/x/file/one/uploads/a.jpg https://site.example",
              "https://a.example/x/file/two/pre/uploads/a.jpg",
              "https://a.example/x/file/two/pre/uploads/a.jpg https://site.example",
              "https://a.example/x/file/two/uploads/a.jpg",
              "https://a.example/x/file/two/uploads/a.jpg https://site.example",
              "https://a.example/x/uploads/a.jpg",
              "https://a.example/x/uploads/a.jpg https://site.example",
              "https://b.example/file/one/uploads/a.jpg",
              "https://b.example/file/one/uploads/a.jpg https://site.example",
              "https://b.example/file/two/pre/uploads/a.jpg",
              "https://b.example/file/two/pre/uploads/a.jpg https://site.example",
              "https://b.example/file/two/uploads/a.jpg",
              "https://b.example/file/two/uploads/a.jpg https://site.example",
              "https://b.example/uploads/a.jpg",
              "https://b.example/uploads/a.jpg https://site.example"});
}

TEST_CASE("visitor urls: what is said twice is there once, in an order of its own",
          "[storage][purge]") {
    const VisitorPlaces places{.hosts = {"https://a", "https://a"},
                               .buckets = {{"b", ""}, {"b", ""}},
                               .origins = {"https://s", "https://s"}};
    const std::vector<std::string> one{"k/b.jpg", "k/a.jpg", "k/b.jpg"};
    const std::vector<std::string> other{"k/a.jpg", "k/b.jpg"};
    CHECK(visitor_urls(places, one) == visitor_urls(places, other));
    CHECK(visitor_urls(places, one).size() == 8);
    CHECK(visitor_urls(places, {}).empty());
    CHECK(visitor_urls({.hosts = {}, .buckets = {}, .origins = {}}, one).empty());
}

TEST_CASE("visitor urls: encoded as we do and as browsers do", "[storage][purge]") {
    const VisitorPlaces places{.hosts = {"https://a"}, .buckets = {}, .origins = {}};
    const auto of = [&](const std::string& key) {
        return urls_only(visitor_urls(places, std::vector<std::string>{key}));
    };
    using Texts = std::vector<std::string>;
    CHECK(of("u/a-b_c.~1.jpg") == Texts{"https://a/u/a-b_c.~1.jpg"});
    CHECK(of("u/a b.jpg") == Texts{"https://a/u/a%20b.jpg"});
    CHECK(of("u/50%.jpg") == Texts{"https://a/u/50%25.jpg"});
    CHECK(of("u/\xC3\xA4.jpg") == Texts{"https://a/u/%C3%A4.jpg"});
    CHECK(of("u/a(1)+b.jpg") == Texts{"https://a/u/a%281%29%2Bb.jpg", "https://a/u/a(1)+b.jpg"});
    CHECK(of("u/rs:fill:1:2.jpg") ==
          Texts{"https://a/u/rs%3Afill%3A1%3A2.jpg", "https://a/u/rs:fill:1:2.jpg"});
}

TEST_CASE("visitor urls: places are all hosts that anything names", "[storage][purge]") {
    using Texts = std::vector<std::string>;
    tidepool::conf::Settings settings;
    settings.purge.hosts = {"https://images.example"};
    settings.purge.origins = {"https://site.example"};
    settings.upload.public_base_url = "https://images.example";
    settings.edge.hosts = {"Images.Example", "alias.example", "*.wild.example", "192.0.2.1"};
    VisitorPlaces places = visitor_places(settings);
    CHECK(places.hosts == Texts{"https://images.example", "https://alias.example"});
    CHECK(places.origins == Texts{"https://site.example"});
    CHECK(edge_prefixes(places, "/uploads/") ==
          Texts{"images.example/uploads", "alias.example/uploads"});
    tidepool::conf::PoolSettings pool;
    pool.is_active = false;
    pool.public_base_url = "https://b2.example/";
    pool.bucket = "one";
    pool.path_prefix = "pre/";
    add_pool(places, pool);
    pool.bucket = "two";
    add_pool(places, pool);
    CHECK(places.hosts.size() == 3);
    places.hosts = {"https://b2.example/x", "http://b2.example"};
    CHECK(edge_prefixes(places, "/uploads/") ==
          Texts{"b2.example/x/uploads", "b2.example/x/images", "b2.example/x/file/one",
                "b2.example/x/file/two", "b2.example/uploads", "b2.example/images",
                "b2.example/file/one", "b2.example/file/two"});
    CHECK(edge_prefixes(places, "/").at(0) == "b2.example/x");
}

TEST_CASE("visitor urls: paths of images, each once", "[storage][purge]") {
    using Texts = std::vector<std::string>;
    CHECK(image_paths("/u/", {}) == Texts{"/u/"});
    CHECK(image_paths("/u/", Texts{"a", "b", "a"}) ==
          Texts{"/u/", "/images/", "/file/a/", "/file/b/"});
    CHECK(image_paths("/images/", Texts{"a"}) == Texts{"/images/", "/file/a/"});
}

TEST_CASE("visitor urls: a URL that is known goes with each origin", "[storage][purge]") {
    const std::vector<std::string> origins{"https://s"};
    CHECK(urls_only(with_origins("https://a/b?c=d", origins)) ==
          std::vector<std::string>{"https://a/b?c=d", "https://a/b?c=d https://s"});
}
