// What becomes of a job whose attempt failed. Pure.
#pragma once

#include "conf/error.h"

#include <cstdint>
#include <optional>

namespace tidepool::storage {

// How long a job is tried again that fails.
enum class Patience : std::uint8_t {
    days,
    endless,  // hourly also where only somebody who mends something can help
};

// Whether what failed so goes on failing until somebody changes the configuration.
bool waits_for_people(ErrorKind kind);

// When a job is tried again (seconds since 1970) that failed so, after so many attempts; nothing:
// no attempt would help until somebody changes something, and the job has failed. `part` in [0, 1)
// spreads them.
//
// What may pass is tried for days, at growing intervals of up to an hour. A cap of a bucket is
// waited for until it is reset, at midnight UTC (contracts: b2-s3.md 8), a bucket that was not
// asked for having been at its cap until it may be; a full disk an hour. Denied, misconfigured and
// corrupt stop at once, the first two only where patience has an end.
std::optional<std::int64_t> next_attempt_s(const Error& error, std::int64_t attempts,
                                           std::int64_t now_s, double part,
                                           Patience patience = Patience::days);

}  // namespace tidepool::storage
