// Names of hosts that an operator lists, and what clients write of a host compared with them. Pure.
#pragma once

#include "conf/cidr.h"

#include <string>
#include <string_view>
#include <vector>

namespace tidepool::conf {

// What is wrong with an entry of such a list, "" where nothing is: "images.example.com", an address
// ("192.0.2.1", "[2001:db8::1]"), or "*.example.com" for every name below that one.
std::string wrong_in_host_pattern(std::string_view text);

// The host of an authority (RFC 3986, 3.2), as it stands in Host and in a request's target: without
// its port, and without the dot of the root. "" where that is none, or where somebody is named in
// front of it.
std::string_view host_of_authority(std::string_view authority);

// The names among such entries that a zone at the edge can have, in lower case, without the root's
// dot: no "*.example.com", no address, nothing without a dot.
std::vector<std::string> zone_names(const std::vector<std::string>& entries);

// A list of such entries. Names are compared whatever their case (RFC 9110, 4.2.3).
class HostPatterns {
  public:
    HostPatterns() = default;
    // Of entries with which nothing is wrong.
    explicit HostPatterns(const std::vector<std::string>& entries);

    bool empty() const { return names_.empty() && parents_.empty() && addresses_.empty(); }
    // `host` is what host_of_authority() gave. Allocates nothing.
    bool match(std::string_view host) const;

  private:
    std::vector<std::string> names_;    // in lower case, without the root's dot
    std::vector<std::string> parents_;  // the same, with a dot in front, for what is below them
    std::vector<IpAddress> addresses_;  // of IPv6, which has many texts for one
};

}  // namespace tidepool::conf
