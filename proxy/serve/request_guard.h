// Who is turned away before an image is looked up: pages of other sites that show it as theirs, and
// clients that ask too often.
#pragma once

#include "conf/host_pattern.h"
#include "conf/settings.h"
#include "proxy/http/handler.h"
#include "proxy/serve/rate_limiter.h"
#include "storage/known_pool.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidepool::serve {

// What outlives a reload: the buckets, and what was counted. Any thread.
class GuardMemory {
  public:
    // Of all rules there ever were with this prefix.
    struct OfRule {
        std::atomic<std::uint64_t> refused{0};
    };

    // The buckets of all rules. There are none until they are asked for, and with another size they
    // begin anew.
    std::shared_ptr<RateLimiter> buckets(std::size_t most);
    std::shared_ptr<OfRule> of_rule(const std::string& prefix);
    void count_hotlink() { hotlinks_.fetch_add(1, std::memory_order_relaxed); }

    // For metrics.
    struct Usage {
        std::uint64_t hotlinks = 0;
        std::vector<std::pair<std::string, std::uint64_t>> over_rate;  // by prefix
        std::size_t buckets = 0;                                       // that are not full
        std::uint64_t evictions = 0;
    };
    Usage usage(std::uint64_t now_ms) const;

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<RateLimiter> buckets_;
    std::map<std::string, std::shared_ptr<OfRule>> rules_;
    std::atomic<std::uint64_t> hotlinks_{0};
};

// Constant but for its memory, and shared by all loops. Any thread.
class RequestGuard {
  public:
    // Null where nobody is turned away. `pools` are all there are, for the hosts that are ours.
    static std::shared_ptr<const RequestGuard> of(const conf::Settings& settings,
                                                  std::span<const storage::KnownPool> pools,
                                                  const std::shared_ptr<GuardMemory>& memory);
    RequestGuard(const conf::Settings& settings, std::span<const storage::KnownPool> pools,
                 std::shared_ptr<GuardMemory> memory);

    struct Refusal {
        int status = 403;
        std::string_view text{};
        std::int64_t retry_s = 0;  // 0: coming again does not help
    };
    // Asked once for each request for a key; takes a token. Nothing: it may be answered.
    std::optional<Refusal> judge(const http::RequestHead& head, const http::Peer& peer,
                                 std::string_view key, std::uint64_t now_ms) const;

  private:
    struct Rule {
        std::string prefix;
        RateLimit limit;
        std::uint64_t id;  // the same for the same prefix, so that a reload keeps its buckets
        std::shared_ptr<GuardMemory::OfRule> counted;
    };

    bool is_hotlink(const http::RequestHead& head, std::string_view key) const;
    const Rule* rule_for(std::string_view key) const;
    std::optional<Refusal> limit(const Rule& rule, const http::RequestHead& head,
                                 const http::Peer& peer, std::uint64_t now_ms) const;

    const std::shared_ptr<GuardMemory> memory_;
    const bool checks_referer_;
    const bool allows_empty_;
    const std::vector<std::string> hotlink_prefixes_;
    const conf::HostPatterns allowed_;     // and the hosts that are ours
    const conf::HostPatterns exceptions_;  // apart, as few requests come that far
    const std::string client_header_;
    std::vector<Rule> rules_;  // the longest prefix first
    std::shared_ptr<RateLimiter> buckets_;
};

}  // namespace tidepool::serve
