#include "storage/breaker.h"

#include <algorithm>

namespace tidepool::storage {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

bool Breaker::allow(Time now) {
    const std::lock_guard lock(mutex_);
    if (state_ == State::closed) return true;
    if (now < open_until_) return false;
    if (state_ == State::half_open && now < probe_until_) return false;
    state_ = State::half_open;
    probe_until_ = now + limits_.probe_timeout;
    return true;
}

void Breaker::report(Outcome outcome, Time now) {
    const std::lock_guard lock(mutex_);
    if (outcome == Outcome::capped) {
        capped_ = true;
        open(limits_.capped_for, now);
        return;
    }
    const bool failure = outcome == Outcome::failed;
    if (state_ == State::closed) {
        count(failure, now);
        if (failure && is_failing(now)) open(limits_.open_for, now);
    } else if (state_ == State::half_open) {
        if (failure) {
            open(std::max(next_open_, limits_.open_for), now);
        } else {
            close();
        }
    }
    // Open: a call that began before says nothing about the store now.
}

void Breaker::abandon() {
    const std::lock_guard lock(mutex_);
    probe_until_ = {};
}

void Breaker::open(milliseconds duration, Time now) {
    if (state_ != State::open) ++times_opened_;
    state_ = State::open;
    open_until_ = now + duration;
    next_open_ = std::min(duration * 2, limits_.open_at_most);
}

void Breaker::close() {
    state_ = State::closed;
    capped_ = false;
    next_open_ = milliseconds(0);
    slots_ = {};
}

std::int64_t Breaker::slot_number(Time now) const {
    const auto part = std::max<std::int64_t>(1, limits_.window.count() / std::int64_t{kSlots});
    return duration_cast<milliseconds>(now.time_since_epoch()).count() / part;
}

void Breaker::count(bool failure, Time now) {
    const std::int64_t number = slot_number(now);
    Slot& slot = slots_[static_cast<std::size_t>(number) % kSlots];
    if (slot.number != number) slot = {.number = number};
    ++slot.calls;
    slot.failures += failure ? 1 : 0;
}

bool Breaker::is_failing(Time now) const {
    const std::int64_t oldest = slot_number(now) - static_cast<std::int64_t>(kSlots) + 1;
    std::uint64_t calls = 0;
    std::uint64_t failures = 0;
    for (const Slot& slot : slots_) {
        if (slot.number < oldest) continue;
        calls += slot.calls;
        failures += slot.failures;
    }
    return calls >= limits_.min_calls && failures * 100 > calls * limits_.failure_percent;
}

Breaker::State Breaker::state(Time now) const {
    const std::lock_guard lock(mutex_);
    if (state_ == State::open && now >= open_until_) return State::half_open;
    return state_;
}

milliseconds Breaker::retry_after(Time now) const {
    const std::lock_guard lock(mutex_);
    if (state_ == State::closed) return milliseconds(0);
    const Time until =
        state_ == State::half_open ? std::max(open_until_, probe_until_) : open_until_;
    return std::max(milliseconds(0), duration_cast<milliseconds>(until - now));
}

std::uint64_t Breaker::times_opened() const {
    const std::lock_guard lock(mutex_);
    return times_opened_;
}

bool Breaker::is_capped() const {
    const std::lock_guard lock(mutex_);
    return capped_ && state_ != State::closed;
}

}  // namespace tidepool::storage
