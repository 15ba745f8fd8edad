// The Range header (RFC 9110, 14). Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tidepool::http {

struct ByteRange {
    std::uint64_t first = 0;
    std::uint64_t length = 0;  // never 0
    std::uint64_t end() const { return first + length; }
    bool operator==(const ByteRange&) const = default;
};

struct RangeChoice {
    enum class Kind : std::uint8_t {
        whole,          // no range applies: 200 with everything
        partial,        // 206 with `ranges`
        unsatisfiable,  // 416
    };
    Kind kind = Kind::whole;
    std::vector<ByteRange> ranges;  // in the order asked; more than one is multipart/byteranges
};

// What to send of a body of `size` bytes for this header. A header that does not parse, has another
// unit or asks for more than `limit` ranges counts as absent, as the edge has it (contracts:
// cloudflare.md 3.7). Ranges that overlap or lie so close that a part's own header would cost more
// are joined. Ranges that together ask for at least the whole are answered whole, so that a request
// cannot make the answer longer than the file.
RangeChoice choose_ranges(std::string_view header, std::uint64_t size, unsigned limit);

}  // namespace tidepool::http
