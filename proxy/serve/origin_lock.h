// The origin lock: what a request must show before anything is done for it, so that who has found
// the server's address gets nothing past the edge (contracts: cloudflare.md 0, 2). Pure.
#pragma once

#include "conf/host_pattern.h"
#include "conf/settings.h"
#include "proxy/http/handler.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace tidepool::serve {

// The checks, in the order in which a request that fails several is counted.
enum class LockCheck : std::uint8_t { peer, host, secret, certificate };
inline constexpr std::array kLockChecks{LockCheck::peer, LockCheck::host, LockCheck::secret,
                                        LockCheck::certificate};

// The label of metrics and log.
std::string_view name_of(LockCheck check);

struct LockVerdict {
    std::array<bool, kLockChecks.size()> failed{};  // by LockCheck
    // False: a proof that is asked for is missing, so nothing that the head says of the client is
    // to be believed, whoever the peer is.
    bool proven = true;

    bool fails(LockCheck check) const { return failed[static_cast<std::size_t>(check)]; }
    bool passes() const { return failed == decltype(failed){}; }
};

// Constant, and shared by all loops.
class OriginLock {
  public:
    // Null where nothing is checked.
    static std::shared_ptr<const OriginLock> of(const conf::EdgeSettings& settings);
    explicit OriginLock(const conf::EdgeSettings& settings);

    LockVerdict judge(const http::RequestHead& head, const http::Peer& peer) const;
    // Of a request whose head could not be read: it has proved nothing, and whether it would have
    // is not known.
    LockVerdict judge_unread(const http::Peer& peer) const;

    // Who does not pass is turned away; false: only counted.
    bool enforces() const { return enforces_; }
    // Without an answer.
    bool closes() const { return closes_; }
    // Whether nothing that this peer may send would pass and none of it gets an answer, so that its
    // connection can be closed at once.
    bool shuts_out(const http::Peer& peer) const {
        return enforces_ && closes_ && fails_as_peer(peer);
    }
    // "mode=enforce checks=peer,host,secret refusal=forbid", for the log.
    std::string text() const;

  private:
    bool fails_as_peer(const http::Peer& peer) const {
        return only_trusted_peers_ && !peer.trusted && !peer.is_unix;
    }
    bool fails_by_certificate(const http::Peer& peer) const;
    bool names_known_hosts(const http::RequestHead& head) const;
    bool has_secret(const http::RequestHead& head) const;

    conf::HostPatterns hosts_;
    std::string secret_header_;
    conf::Secret secret_;
    conf::Secret previous_;
    bool only_trusted_peers_;
    bool wants_certificate_;
    std::vector<std::string> without_certificates_;  // listeners where it does not
    bool enforces_;
    bool closes_;
};

}  // namespace tidepool::serve
