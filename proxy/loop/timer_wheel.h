// Deadlines of thousands of connections for the price of a store.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tidepool::loop {

class TimerWheel;

// One deadline, a member of whatever it guards. Moving it further away, which is what every request
// does, writes one number; the wheel finds out when the old slot comes round. Loop thread only; the
// wheel must outlive it.
class Deadline {
  public:
    using Callback = void (*)(void* owner);

    Deadline(TimerWheel& wheel, Callback callback, void* owner)
        : wheel_(wheel), callback_(callback), owner_(owner) {}
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;
    ~Deadline() { unlink(); }

    // The callback runs once, at the first tick at or after `at_ms` of the loop's clock, and may
    // destroy the deadline.
    void set(std::uint64_t at_ms);
    void clear() { at_ms_ = kNever; }

  private:
    friend class TimerWheel;
    static constexpr std::uint64_t kNever = UINT64_MAX;

    void unlink();

    TimerWheel& wheel_;
    Callback callback_;
    void* owner_;
    std::uint64_t at_ms_ = kNever;
    std::uint64_t slot_ms_ =
        kNever;  // when the slot it is linked in comes round; kNever = not linked
    Deadline* next_ = nullptr;
    Deadline** link_ = nullptr;  // what points at this
};

// A hashed wheel of kSlots slots of kTickMs each; later deadlines wait in the last slot and are put
// back.
class TimerWheel {
  public:
    static constexpr std::uint64_t kTickMs = 50;
    static constexpr std::size_t kSlots = 1024;

    explicit TimerWheel(std::uint64_t now_ms) : ticked_(now_ms / kTickMs) {}

    // Runs what is due. Call every kTickMs or so.
    void advance(std::uint64_t now_ms);

  private:
    friend class Deadline;

    void link(Deadline& deadline);
    void run_slot(Deadline*& slot, std::uint64_t now_ms);

    std::array<Deadline*, kSlots> slots_{};
    std::uint64_t ticked_;  // number of the last tick that ran
};

}  // namespace tidepool::loop
