#include "storage/job_policy.h"

#include "conf/day_window.h"

#include <algorithm>

namespace tidepool::storage {

namespace {

constexpr std::int64_t kFirstRetryS = 2;
constexpr std::int64_t kMostRetryS = 3'600;
constexpr std::int64_t kDoublings = 11;  // by then it is kMostRetryS
// A week of hours, and what came before them.
constexpr std::int64_t kMostAttempts = 24 * 7 + kDoublings;
// So that not all that waited for midnight come at once.
constexpr std::int64_t kAfterResetS = 600;

}  // namespace

bool waits_for_people(ErrorKind kind) {
    return kind == ErrorKind::denied || kind == ErrorKind::misconfigured;
}

std::optional<std::int64_t> next_attempt_s(const Error& error, std::int64_t attempts,
                                           std::int64_t now_s, double part, Patience patience) {
    const bool is_endless = patience == Patience::endless;
    if (attempts >= kMostAttempts && !is_endless) return std::nullopt;
    if (is_endless && waits_for_people(error.kind)) return now_s + kMostRetryS;
    switch (error.kind) {
        case ErrorKind::capped: {
            // The store was not asked, as it had said so a short time ago.
            if (error.store && !error.store->resets_daily && error.store->retry_after.count() > 0)
                return now_s + error.store->retry_after.count();
            if (!error.store || !error.store->resets_daily) return now_s + kMostRetryS;
            const std::int64_t midnight = (now_s / conf::kDayS + 1) * conf::kDayS;
            return midnight + static_cast<std::int64_t>(part * kAfterResetS);
        }
        case ErrorKind::denied:
        case ErrorKind::misconfigured:
        case ErrorKind::corrupt:
        case ErrorKind::too_large:
        case ErrorKind::invalid:
        case ErrorKind::not_found:
        case ErrorKind::conflict:
            return std::nullopt;
        default:
            break;
    }
    const std::int64_t doublings = std::clamp<std::int64_t>(attempts - 1, 0, kDoublings);
    const std::int64_t most = std::min(kMostRetryS, kFirstRetryS << doublings);
    const auto spread = static_cast<std::int64_t>(part * static_cast<double>(most) / 2);
    const std::int64_t asked = error.store ? error.store->retry_after.count() : 0;
    return now_s + std::max(asked, most / 2 + spread);
}

}  // namespace tidepool::storage
