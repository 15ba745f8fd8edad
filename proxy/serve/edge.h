// What is believed of the headers that the edge adds. Pure.
#pragma once

#include "conf/cidr.h"
#include "proxy/http/handler.h"

#include <optional>
#include <string_view>

namespace tidepool::serve {

// Whom a peer that is believed names as the client: the address in `header`, else the right-most of
// X-Forwarded-For, which the edge appends (contracts: cloudflare.md 1.1, 6). Nothing from anybody
// else, and where these are no single valid address.
std::optional<conf::IpAddress> named_client(const http::RequestHead& head, const http::Peer& peer,
                                            std::string_view header);

// Who really asked: that one, else the peer.
conf::IpAddress client_address(const http::RequestHead& head, const http::Peer& peer,
                               std::string_view header);

}  // namespace tidepool::serve
