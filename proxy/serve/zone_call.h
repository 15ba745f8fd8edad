// Calls of the edge's API that make it forget: their bodies, and what an answer means (contracts:
// cloudflare.md 4). Pure.
#pragma once

#include "conf/error.h"

#include <compare>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>

namespace tidepool::serve {

// One thing that the edge is to forget.
struct ZoneItem {
    enum class Kind : std::uint8_t { url, tag, prefix, everything };
    Kind kind = Kind::url;
    std::string text{};
    std::string origin{};  // of a URL: the entry for this Origin; "" = the one for none
    auto operator<=>(const ZoneItem&) const = default;
};
// For texts: "https://images.example/a.jpg for Origin https://site.example".
std::string name_of(const ZoneItem& item);

// The body of a call for these, all of one kind, at least one.
std::string purge_body(std::span<const ZoneItem> items);

struct ZoneFailure {
    Error error;
    // One of the items is to blame: the others are worth a call without it.
    bool is_of_an_item = false;
};
// An answer of the API; `now_s` is what a date in Retry-After is compared with.
//
// What may pass is timed_out, overloaded (with the time that was asked for) or io; a token that may
// not is denied, a zone that there is not is misconfigured. Texts repeat what the API says, not
// what it was sent.
std::expected<void, ZoneFailure> read_zone_answer(int status, std::string_view body,
                                                  std::string_view retry_after, std::int64_t now_s);

}  // namespace tidepool::serve
