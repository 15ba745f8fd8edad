// The directives of Cache-Control and of its two forms for CDNs, which have the same grammar
// (RFC 9111, 5.2; RFC 9213; contracts: cloudflare.md 3.4). Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::edge {

// The headers that carry them, in the order in which the edge looks (3.4): as fields are looked up,
// and as people write them.
struct ControlHeader {
    std::string_view name;
    std::string_view title;
};
inline constexpr std::array<ControlHeader, 3> kControlHeaders{
    {{"cloudflare-cdn-cache-control", "Cloudflare-CDN-Cache-Control"},
     {"cdn-cache-control", "CDN-Cache-Control"},
     {"cache-control", "Cache-Control"}}};

// Directives each of which makes stale answers impossible (3.3).
inline constexpr std::array<std::string_view, 5> kNoStale{
    "s-maxage", "must-revalidate", "proxy-revalidate", "no-cache", "no-store"};

// Reads whatever a header says; what makes no sense is as if it were not there. conf/directives.h
// judges what an operator writes.
class DirectiveList {
  public:
    static DirectiveList parse(std::string_view value);

    bool has(std::string_view name) const;
    // There, and not about single fields only, as private="set-cookie" is.
    bool is_bare(std::string_view name) const;
    // The fields that it is about, in lower case.
    std::vector<std::string> fields_of(std::string_view name) const;
    // Its number, at most 2^31 (RFC 9111, 1.2.2); nothing where it is absent or has none.
    std::optional<std::int64_t> seconds(std::string_view name) const;
    // Directives that need a number of seconds and have something else.
    std::vector<std::string> unreadable() const;

  private:
    struct Directive {
        std::string name;   // lower case
        std::string value;  // without quotes
    };
    const Directive* find(std::string_view name) const;

    std::vector<Directive> all_;  // of several with one name the first counts
};

}  // namespace tidepool::edge
