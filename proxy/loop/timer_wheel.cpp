#include "proxy/loop/timer_wheel.h"

#include <algorithm>

namespace tidepool::loop {

void Deadline::unlink() {
    if (link_ == nullptr) return;
    *link_ = next_;
    if (next_ != nullptr) next_->link_ = link_;
    link_ = nullptr;
    next_ = nullptr;
    slot_ms_ = kNever;
}

void Deadline::set(std::uint64_t at_ms) {
    at_ms_ = at_ms;
    if (link_ != nullptr && slot_ms_ <= at_ms) return;  // found out when that slot comes round
    unlink();
    wheel_.link(*this);
}

void TimerWheel::link(Deadline& deadline) {
    const std::uint64_t wanted = (deadline.at_ms_ + kTickMs - 1) / kTickMs;
    const std::uint64_t tick = std::clamp(wanted, ticked_ + 1, ticked_ + kSlots - 1);
    Deadline*& slot = slots_[tick % kSlots];
    deadline.slot_ms_ = tick * kTickMs;
    deadline.next_ = slot;
    deadline.link_ = &slot;
    if (slot != nullptr) slot->link_ = &deadline.next_;
    slot = &deadline;
}

void TimerWheel::run_slot(Deadline*& slot, std::uint64_t now_ms) {
    // A callback may destroy any deadline, so the list is taken off its slot and eaten from the
    // front.
    Deadline* due = slot;
    slot = nullptr;
    if (due != nullptr) due->link_ = &due;
    while (due != nullptr) {
        Deadline& deadline = *due;
        deadline.unlink();
        if (deadline.at_ms_ == Deadline::kNever) continue;
        if (deadline.at_ms_ > now_ms) {
            link(deadline);
            continue;
        }
        deadline.at_ms_ = Deadline::kNever;
        deadline.callback_(deadline.owner_);
    }
}

void TimerWheel::advance(std::uint64_t now_ms) {
    const std::uint64_t now_tick = now_ms / kTickMs;
    // After a long pause every slot is due once; going round more often would find nothing new.
    const std::uint64_t behind = now_tick - std::min(now_tick, ticked_);
    if (behind > kSlots) ticked_ = now_tick - kSlots;
    while (ticked_ < now_tick) {
        ++ticked_;
        run_slot(slots_[ticked_ % kSlots], now_ms);
    }
}

}  // namespace tidepool::loop
