#include "proxy/serve/lock_keeper.h"

#include "conf/log.h"
#include "conf/quote.h"

#include <string>

namespace tidepool::serve {

namespace {

// Anybody can cause these lines, so there is at most one in this time.
constexpr std::uint64_t kLockLineMs = 10'000;

std::string failed_checks(const LockVerdict& verdict) {
    std::string names;
    for (const LockCheck check : kLockChecks) {
        if (verdict.fails(check)) names.append(names.empty() ? "" : ",").append(name_of(check));
    }
    return names;
}

}  // namespace

http::Admission LockKeeper::judge(const http::RequestHead* head, const http::Peer& peer,
                                  std::uint64_t now_ms) {
    using Entry = http::Admission::Entry;
    const LockVerdict verdict =
        head != nullptr ? lock_->judge(*head, peer) : lock_->judge_unread(peer);
    const Entry refused = lock_->closes() ? Entry::close : Entry::forbid;
    http::Admission admission{.entry = Entry::open, .proven = verdict.proven};
    if (!lock_->enforces()) {
        if (!verdict.passes()) would_refuse(verdict, head, peer, now_ms);
        return admission;
    }
    for (const LockCheck check : kLockChecks) {
        if (!verdict.fails(check)) continue;
        counters_.refused[static_cast<std::size_t>(check)].add();
        admission.entry = refused;
        return admission;
    }
    // What cannot be read has shown nothing, so it is told nothing either where silence is wanted.
    if (head == nullptr && lock_->closes()) admission.entry = Entry::close;
    return admission;
}

void LockKeeper::would_refuse(const LockVerdict& verdict, const http::RequestHead* head,
                              const http::Peer& peer, std::uint64_t now_ms) {
    for (const LockCheck check : kLockChecks) {
        if (verdict.fails(check)) counters_.would_refuse[static_cast<std::size_t>(check)].add();
    }
    ++untold_;
    if (now_ms < next_line_ms_) return;
    next_line_ms_ = now_ms + kLockLineMs;
    const std::string_view host =
        head != nullptr ? head->single(http::Known::host) : std::string_view();
    conf::log_warn("origin lock would refuse checks={} peer={} host={} requests={}",
                   failed_checks(verdict), peer.text(), conf::quote(host),
                   std::exchange(untold_, 0));
}

bool LockKeeper::shuts_out(const http::Peer& peer) {
    if (lock_ == nullptr || !lock_->shuts_out(peer)) return false;
    counters_.refused[static_cast<std::size_t>(LockCheck::peer)].add();
    return true;
}

}  // namespace tidepool::serve
