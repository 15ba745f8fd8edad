#include "conf/cidr.h"

#include <array>
#include <cstdlib>
#include <string_view>

namespace tidepool::conf {

namespace {

// https://www.cloudflare.com/ips-v4 and ips-v6 as of 2026-02-11. Older copies on the net have
// 104.16.0.0/12, which holds addresses that are no edge: 104.28.0.0/14 must stay out.
constexpr std::array<std::string_view, 22> kRanges{
    "173.245.48.0/20",  "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22",    "141.101.64.0/18",
    "108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17",
    "162.158.0.0/15",   "104.16.0.0/13",   "104.24.0.0/14",   "172.64.0.0/13",    "131.0.72.0/22",
    "2400:cb00::/32",   "2606:4700::/32",  "2803:f800::/32",  "2405:b500::/32",   "2405:8100::/32",
    "2a06:98c0::/29",   "2c0f:f248::/32",
};

}  // namespace

std::vector<Cidr> cloudflare_ranges() {
    std::vector<Cidr> ranges;
    ranges.reserve(kRanges.size());
    for (const std::string_view text : kRanges) {
        const auto range = Cidr::parse(text);
        if (!range) std::abort();  // a slip in the table above; the tests would have met it
        ranges.push_back(*range);
    }
    return ranges;
}

}  // namespace tidepool::conf
