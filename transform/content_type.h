// What a file is, by its bytes. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace tidepool::transform {

// How much of a file's beginning is looked at; more changes nothing.
inline constexpr std::size_t kSniffBytes = 1024;

inline constexpr std::string_view kUnknownType = "application/octet-stream";

// The media type that the first bytes show, or kUnknownType. Markup is recognised as a browser
// would (WHATWG MIME Sniffing, 7.1: after a byte order mark, white space and comments), because a
// browser that finds HTML runs it. The returned text lives for ever.
std::string_view content_type_of(std::span<const char> beginning);

// The media type that a file name's extension claims, or "" for one that claims none we know.
std::string_view content_type_by_name(std::string_view name);

// What a look at the first bytes found; kept with a file's digest, so that they need not be read
// again.
struct ContentLook {
    std::string_view shown = kUnknownType;  // content_type_of
    bool plain_text = false;                // no control characters
};
ContentLook look_at(std::span<const char> beginning);

// The type to serve: what the bytes show; where they show nothing and are text, a text type that
// the name claims. Never a type that the bytes do not support.
std::string_view served_type(const ContentLook& look, std::string_view name);

// Types that a browser would run or follow links in: they go out with a sandbox and as an
// attachment.
bool is_active_content(std::string_view type);

// True where `pattern` is the type itself, "image/*" or "*".
bool type_matches(std::string_view type, std::string_view pattern);

}  // namespace tidepool::transform
