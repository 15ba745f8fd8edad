// The addresses of a host's name.
#pragma once

#include "conf/error.h"
#include "proxy/loop/loop.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/socket.h>

namespace tidepool::loop {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    // "192.0.2.1:443", "[2001:db8::1]:443"
    std::string text() const;
};

// One look-up, made by libuv's threads, as the system's resolver may block. What was written as an
// address needs none and is there at once. Loop thread only; may be destroyed at any time.
class Lookup {
  public:
    using Callback = void (*)(void* owner);

    // `told` is called from the loop when the answer is there, unless is_done() at once.
    Lookup(Loop& loop, const std::string& host, std::uint16_t port, Callback told, void* owner);
    ~Lookup();
    Lookup(const Lookup&) = delete;
    Lookup& operator=(const Lookup&) = delete;

    bool is_done() const { return answer_.has_value(); }
    // Once it is done: at least one, in the order in which they should be tried (RFC 6724).
    // ErrorKind::io where the name has none.
    const Result<std::vector<SocketAddress>>& answer() const { return *answer_; }

  private:
    struct Request;
    void finish(int status, std::vector<SocketAddress> found);

    const std::string host_;
    Callback told_;
    void* owner_;
    Request* request_ = nullptr;  // freed by libuv's callback
    std::optional<Result<std::vector<SocketAddress>>> answer_;
};

}  // namespace tidepool::loop
