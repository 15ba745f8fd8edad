// What a store may cost in a day: calls by price class, and bytes out (contracts: b2-s3.md 6).
#pragma once

#include "conf/settings.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace tidepool::storage {

// How B2 prices a call: a is free (writes, deletes), b is reading, c is listing and copying.
enum class CallClass : std::uint8_t { a, b, c };

// What is counted: a call of each class, and bytes that left the store.
inline constexpr std::size_t kBudgetItems = 4;
inline constexpr std::size_t kEgressItem = 3;

enum class BudgetVerdict : std::uint8_t {
    ok,
    warn,    // this one crossed the soft limit; said once a day for each item
    capped,  // the hard limit is used up until midnight UTC; the call must not be made
};

// Counters of one UTC day.
struct BudgetUse {
    std::int64_t day = 0;  // days since 1970
    std::array<std::uint64_t, kBudgetItems> used{};
    std::array<std::uint64_t, kBudgetItems> refused{};  // since midnight; of egress: calls
};

// The budget of one pool. Any thread, an event loop's too: a mutex is held for some additions.
// `now` is in seconds since 1970 and decides which day it is.
class Budget {
  public:
    // Limits are the settings' daily_*; 0 = none, then it only counts.
    explicit Budget(const conf::PoolSettings& settings);

    // Counts a call that is about to be made, unless it is capped. A call of class b is capped by
    // used up egress too.
    BudgetVerdict take(CallClass call, std::int64_t now);

    // Counts bytes that came from the store. They are here already, so nothing refuses them; the
    // next take() of class b does. ok or warn.
    BudgetVerdict add_egress(std::uint64_t bytes, std::int64_t now);

    // From `now` until the day's counters begin anew: what Retry-After says.
    static std::chrono::seconds until_reset(std::int64_t now);

    // For metrics, and for saving across restarts.
    BudgetUse use(std::int64_t now) const;
    // Adds what was saved, if it is of today.
    void restore(const BudgetUse& saved, std::int64_t now);

  private:
    struct Limit {
        std::uint64_t soft = 0;
        std::uint64_t hard = 0;  // 0 = none
    };
    void begin_day(std::int64_t now) const;
    bool is_used_up(std::size_t item) const;
    BudgetVerdict add(std::size_t item, std::uint64_t amount);

    std::array<Limit, kBudgetItems> limits_{};
    mutable std::mutex mutex_;
    mutable BudgetUse use_;
};

}  // namespace tidepool::storage
