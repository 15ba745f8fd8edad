// What is believed of the headers that the edge adds. Pure.
#pragma once

#include "conf/cidr.h"
#include "proxy/http/handler.h"

#include <string_view>

namespace tidepool::serve {

// Who really asked: for a peer that is believed the address in `header`, else the right-most of
// X-Forwarded-For, which the edge appends (contracts: cloudflare.md 1.1, 6); for anybody else, and
// where these are no single valid address, the peer.
conf::IpAddress client_address(const http::RequestHead& head, const http::Peer& peer,
                               std::string_view header);

}  // namespace tidepool::serve
