// Calls of the edge's API that make it forget: their bodies; and what an answer of it means, of
// these and of others (contracts: cloudflare.md 4). Pure.
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
// What the text of a failure says where the token may not, and where the zone is not known.
struct ZoneWords {
    std::string_view denied;
    std::string_view misconfigured;
};
inline constexpr ZoneWords kPurgeWords{
    .denied = ": purge.api_token may not purge this zone, or is not good any more",
    .misconfigured = ": purge.zone_id is no zone of purge.api_url, or not of this token"};

// An answer of the API; `now_s` is what a date in Retry-After is compared with.
//
// What may pass is timed_out, overloaded (with the time that was asked for) or io; a token that may
// not is denied, a zone that there is not is misconfigured. Texts repeat what the API says, not
// what it was sent.
std::expected<void, ZoneFailure> read_zone_answer(int status, std::string_view body,
                                                  std::string_view retry_after, std::int64_t now_s,
                                                  const ZoneWords& words = kPurgeWords);

// Whether the body of a failure is the API's own and blames something else than the zone, such as
// what is asked for in it.
bool is_about_no_zone(std::string_view body);

}  // namespace tidepool::serve
