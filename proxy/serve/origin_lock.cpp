#include "proxy/serve/origin_lock.h"

#include "conf/digest.h"

#include <algorithm>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

// The authority of a target in absolute-form (RFC 9112, 3.2.2); "" of any other.
std::string_view authority_of_target(std::string_view target) {
    if (target.starts_with('/')) return {};
    const std::size_t colon = target.find("://");
    if (colon == target.npos) return {};
    target.remove_prefix(colon + 3);
    return target.substr(0, target.find_first_of("/?"));
}

}  // namespace

std::string_view name_of(LockCheck check) {
    static constexpr std::array<std::string_view, kLockChecks.size()> kNames{
        "peer", "host", "secret", "certificate"};
    return kNames[static_cast<std::size_t>(check)];
}

std::shared_ptr<const OriginLock> OriginLock::of(const conf::EdgeSettings& settings) {
    if (!settings.has_checks() || settings.lock == conf::EdgeSettings::Lock::off) return nullptr;
    return std::make_shared<const OriginLock>(settings);
}

OriginLock::OriginLock(const conf::EdgeSettings& settings)
    : hosts_(settings.hosts),
      secret_header_(settings.secret_header),
      secret_(settings.secret),
      previous_(settings.secret_previous),
      only_trusted_peers_(settings.only_trusted_peers),
      wants_certificate_(!settings.client_ca_files.empty()),
      enforces_(settings.lock == conf::EdgeSettings::Lock::enforce),
      closes_(settings.refusal == conf::EdgeSettings::Refusal::close) {
    for (const conf::ListenAddress& address : settings.client_ca_except)
        without_certificates_.push_back(address.text());
}

bool OriginLock::fails_by_certificate(const http::Peer& peer) const {
    if (!wants_certificate_ || peer.has_certificate || peer.is_unix) return false;
    // One that is not known wants one.
    return std::ranges::find(without_certificates_, peer.listener) == without_certificates_.end();
}

LockVerdict OriginLock::judge(const http::RequestHead& head, const http::Peer& peer) const {
    LockVerdict verdict;
    const auto fail = [&](LockCheck check, bool failed) {
        verdict.failed[static_cast<std::size_t>(check)] = failed;
    };
    fail(LockCheck::peer, fails_as_peer(peer));
    fail(LockCheck::host, !hosts_.empty() && !names_known_hosts(head));
    fail(LockCheck::secret, !secret_header_.empty() && !has_secret(head));
    fail(LockCheck::certificate, fails_by_certificate(peer));
    verdict.proven = !verdict.fails(LockCheck::certificate) && !verdict.fails(LockCheck::secret);
    return verdict;
}

LockVerdict OriginLock::judge_unread(const http::Peer& peer) const {
    LockVerdict verdict;
    verdict.failed[static_cast<std::size_t>(LockCheck::peer)] = fails_as_peer(peer);
    verdict.failed[static_cast<std::size_t>(LockCheck::certificate)] = fails_by_certificate(peer);
    verdict.proven = secret_header_.empty() && !verdict.fails(LockCheck::certificate);
    return verdict;
}

// A target that names a host takes the place of Host (RFC 9112, 3.2.2). Where the two differ, who
// routes by the other one must not be got round, so both have to be known; and a request of
// HTTP/1.0 that names none asks for no site of ours.
bool OriginLock::names_known_hosts(const http::RequestHead& head) const {
    const std::string_view of_target = authority_of_target(head.target);
    const bool has_host = head.count(http::Known::host) > 0;
    if (of_target.empty() && !has_host) return false;
    if (!of_target.empty() && !hosts_.match(conf::host_of_authority(of_target))) return false;
    return !has_host || hosts_.match(conf::host_of_authority(head.single(http::Known::host)));
}

// Both are compared whatever the first gave, so that the time does not tell which one it was.
bool OriginLock::has_secret(const http::RequestHead& head) const {
    const std::string_view sent = head.single(secret_header_);  // "" where it was sent twice
    if (sent.empty()) return false;
    const bool is_current = conf::equal_in_constant_time(sent, secret_.reveal());
    const bool is_previous = conf::equal_in_constant_time(sent, previous_.reveal());
    return is_current || is_previous;
}

std::string OriginLock::text() const {
    std::string checks;
    const auto add = [&](LockCheck check, bool is_made) {
        if (is_made) checks.append(checks.empty() ? "" : ",").append(name_of(check));
    };
    add(LockCheck::peer, only_trusted_peers_);
    add(LockCheck::host, !hosts_.empty());
    add(LockCheck::secret, !secret_header_.empty());
    add(LockCheck::certificate, wants_certificate_);
    return fmt::format("mode={} checks={} refusal={}", enforces_ ? "enforce" : "log", checks,
                       closes_ ? "close" : "forbid");
}

}  // namespace tidepool::serve
