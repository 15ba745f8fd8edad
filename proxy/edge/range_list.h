// The edge's published address ranges: read, mistrusted, compared and written down. Pure.
#pragma once

#include "conf/cidr.h"
#include "conf/error.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::edge {

// What one source says.
struct PublishedRanges {
    std::vector<conf::Cidr> ranges;
    std::string etag;  // of the list as its publisher counts, "" where there is none
};

// Either the answer of GET /client/v4/ips or one range per line (contracts: cloudflare.md 2.3).
// `source` names it in errors. ErrorKind::invalid for what is neither, and for an empty list.
Result<PublishedRanges> read_published(std::string_view text, const std::string& source);

// Whether a list can be the edge's: everybody on it is believed whatever they say of clients, so
// what is wide or private, or has no IPv4, is ErrorKind::invalid.
Result<void> check_published(const std::vector<conf::Cidr>& ranges);

// Each once, in the order of their first place.
std::vector<conf::Cidr> without_doubles(const std::vector<conf::Cidr>& ranges);

struct RangeChange {
    std::vector<conf::Cidr> added;
    std::vector<conf::Cidr> removed;
    bool empty() const { return added.empty() && removed.empty(); }
};
RangeChange compare_ranges(const std::vector<conf::Cidr>& old_ranges,
                           const std::vector<conf::Cidr>& new_ranges);

// The ranges of a file that edge.trusted_ranges can name. Lines that are none are left out: the
// file is about to be replaced.
std::vector<conf::Cidr> read_ranges_file(std::string_view content);

// Its content: a comment that says where the ranges come from and when, `now_s` seconds since 1970,
// and a range per line.
std::string ranges_file(const std::vector<conf::Cidr>& ranges,
                        const std::vector<std::string>& sources, std::int64_t now_s);

}  // namespace tidepool::edge
