// A connection to the first of several addresses that answers.
#pragma once

#include "conf/error.h"
#include "proxy/loop/lookup.h"
#include "proxy/loop/loop.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace tidepool::loop {

// Tries one address after the other, the next as soon as one fails or has not answered in
// kPatienceMs, without giving that one up (RFC 8305, 5). Loop thread only; may be destroyed at any
// time.
class Connector {
  public:
    using Callback = void (*)(void* owner);
    static constexpr std::uint64_t kPatienceMs = 250;

    // `told` is called from the loop when it is done, unless is_done() at once.
    Connector(Loop& loop, std::vector<SocketAddress> addresses, Callback told, void* owner);
    ~Connector();
    Connector(const Connector&) = delete;
    Connector& operator=(const Connector&) = delete;

    bool is_done() const {
        return connected_.has_value() || (trying_.empty() && next_ == addresses_.size());
    }
    // Once it is done: a non-blocking socket, the caller's from then on; or ErrorKind::io and why
    // the last of them failed.
    Result<int> take();

  private:
    struct Attempt;

    void try_next();
    void judge(Attempt& attempt);
    void out_of_patience();

    Loop& loop_;
    const std::vector<SocketAddress> addresses_;
    Callback told_;
    void* owner_;
    std::size_t next_ = 0;
    std::vector<std::unique_ptr<Attempt>> trying_;
    std::optional<int> connected_;
    Error error_{ErrorKind::io, "no address to connect to"};
    Deadline patience_;
};

}  // namespace tidepool::loop
