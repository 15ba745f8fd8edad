// The origin lock at work on one loop: lets requests in or not, counts, and says what it would do.
#pragma once

#include "proxy/http/counters.h"
#include "proxy/http/handler.h"
#include "proxy/serve/origin_lock.h"

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

namespace tidepool::serve {

struct LockCounters {
    // A request that was refused counts once, for the first check that it failed; one that would
    // have been counts for each of them, as each is what someone wants to know before enforcing it.
    std::array<http::Counter, kLockChecks.size()> refused;
    std::array<http::Counter, kLockChecks.size()> would_refuse;
};

// One per loop; loop thread only, but for the counters.
class LockKeeper {
  public:
    // Null: all come in.
    void change(std::shared_ptr<const OriginLock> lock) { lock_ = std::move(lock); }

    // See http::Handler::let_in().
    http::Admission let_in(const http::RequestHead* head, const http::Peer& peer,
                           std::uint64_t now_ms) {
        return lock_ == nullptr ? http::Admission() : judge(head, peer, now_ms);
    }
    // See http::Handler::shuts_out().
    bool shuts_out(const http::Peer& peer);

    const LockCounters& counters() const { return counters_; }

  private:
    http::Admission judge(const http::RequestHead* head, const http::Peer& peer,
                          std::uint64_t now_ms);
    void would_refuse(const LockVerdict& verdict, const http::RequestHead* head,
                      const http::Peer& peer, std::uint64_t now_ms);

    std::shared_ptr<const OriginLock> lock_;
    LockCounters counters_;
    std::uint64_t next_line_ms_ = 0;
    std::uint64_t untold_ = 0;  // requests since the last line
};

}  // namespace tidepool::serve
