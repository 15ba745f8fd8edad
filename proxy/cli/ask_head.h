// Asks a running server for one answer and reads its head alone.
#pragma once

#include "conf/error.h"
#include "conf/listen_address.h"

#include <string>

namespace tidepool::cli {

// Sends `request` as it is and reads up to the end of the answer's head; then the connection is
// closed, whatever body would follow. Blocks, at most for as long as the edge would wait
// (contracts: cloudflare.md 1.4). Where `address` is every address of the machine, it is asked on
// loopback.
Result<std::string> ask_head(const conf::ListenAddress& address, const std::string& request);

}  // namespace tidepool::cli
