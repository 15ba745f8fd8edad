#include "storage/retry.h"

#include <algorithm>
#include <cstdint>
#include <random>

namespace tidepool::storage {

using std::chrono::milliseconds;

double random_part() {
    thread_local std::minstd_rand engine{std::random_device{}()};
    return std::uniform_real_distribution<double>()(engine);
}

bool RetryPlan::may_try(NextTry next) {
    switch (next) {
        case NextTry::never:
            return false;
        case NextTry::corrected_clock:
            return !std::exchange(clock_corrected_, true);
        case NextTry::new_token:
            return !std::exchange(token_renewed_, true);
        case NextTry::later:
        case NextTry::fresh_connection:
            return true;
    }
    return false;
}

std::optional<milliseconds> RetryPlan::next(const StoreFailure& failure, Time now) {
    // A token that has ended is no failure of the store's, and happens however few tries there are.
    const bool is_over = tries_ >= limits_.tries && failure.next != NextTry::new_token;
    if (is_over || !may_try(failure.next)) return std::nullopt;
    milliseconds wait{0};
    if (failure.next == NextTry::later || failure.next == NextTry::fresh_connection) {
        constexpr unsigned kMostDoublings = 20;  // a shift that cannot overflow
        const auto bound =
            std::min(limits_.most,
                     limits_.first * (std::int64_t{1} << std::min(tries_ - 1, kMostDoublings)));
        wait = milliseconds(
            static_cast<milliseconds::rep>(random_() * static_cast<double>(bound.count())));
        const milliseconds asked =
            failure.error.store ? failure.error.store->retry_after : std::chrono::seconds(0);
        wait = std::max(wait, std::min(asked, limits_.most));
    }
    if (now + wait - start_ > limits_.budget) return std::nullopt;
    ++tries_;
    return wait;
}

}  // namespace tidepool::storage
