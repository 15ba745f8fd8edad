#include "proxy/loop/precedence.h"

#include "conf/log.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tidepool::loop {

namespace {

// The shortest that the kernel takes.
constexpr std::uint64_t kTurnNs = 100'000;
// SCHED_FLAG_RESET_ON_FORK: not for the processes that the thread starts.
constexpr std::uint64_t kNotForChildren = 1;
// Who has a processor for more of the time than the first is one of many, and who has it for less
// than the second may go first.
constexpr double kMuch = 0.75;
constexpr double kLittle = 0.5;
// What costs nobody anything.
constexpr double kHardly = 0.05;
// What is a wait: more than this share of the time that it had a processor.
constexpr double kDearWait = 0.25;

// As the kernel has it; the C library of Debian 12 does not.
struct Attributes {
    std::uint32_t size = sizeof(Attributes);
    std::uint32_t policy = 0;
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime_ns = 0;
    std::uint64_t deadline_ns = 0;
    std::uint64_t period_ns = 0;
};

// Of the calling thread; the nice value stays as whoever started us wanted it.
bool go_first() {
    const sched_param least{.sched_priority = sched_get_priority_min(SCHED_RR)};
    return sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &least) == 0;
}

bool be_one_of_many() {
    const sched_param none{.sched_priority = 0};
    if (sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none) != 0) return false;
    ask_for_short_turns();
    return true;
}

}  // namespace

void ask_for_short_turns() {
    Attributes attributes;
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
    if (attributes.policy != SCHED_OTHER) return;
    attributes.size = sizeof attributes;
    attributes.flags |= kNotForChildren;
    attributes.runtime_ns = kTurnNs;
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0)
        conf::log_debug("no short turns reason=\"{}\"", std::strerror(errno));
}

bool Standing::look(double used, double waited) {
    if (looks_back_ > 0) {
        --looks_back_;
        return false;
    }
    if (goes_first_) {
        if (used >= kMuch) looks_back_ = kLooksBack;
        goes_first_ = used < kMuch && (had_to_wait_ ? ++looks_ < kLooksFirst : used < kHardly);
        if (!goes_first_) looks_ = 0;
        return goes_first_;
    }
    const bool has_to_wait = used < kLittle && waited > used * kDearWait;
    looks_ = has_to_wait ? looks_ + 1 : 0;
    had_to_wait_ = looks_ == kWaits;
    goes_first_ = had_to_wait_ || used < kHardly;
    if (goes_first_) looks_ = 0;
    return goes_first_;
}

Result<void> Precedence::claim(std::uint64_t now_ns) {
    conf::Descriptor counts(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (counts.get() < 0) return fail_errno(errno, path_);
    if (!go_first()) return fail_errno(errno, "SCHED_RR");
    if (!be_one_of_many()) return fail_errno(errno, "SCHED_OTHER");
    counts_ = std::move(counts);
    const auto times = read_times();
    if (!times) return std::unexpected(times.error());
    begin(now_ns, *times);
    return {};
}

// "USED WAITED TURNS"
Result<Precedence::Times> Precedence::read_times() const {
    std::array<char, 80> text{};
    const ssize_t size = pread(counts_.get(), text.data(), text.size(), 0);
    if (size < 0) return fail_errno(errno, path_);
    Times times;
    const char* const end = text.data() + size;
    const auto used = std::from_chars(text.data(), end, times.used);
    if (used.ec != std::errc() || used.ptr == end || *used.ptr != ' ')
        return fail(ErrorKind::io, path_ + " is not understood");
    const auto waited = std::from_chars(used.ptr + 1, end, times.waited);
    if (waited.ec != std::errc()) return fail(ErrorKind::io, path_ + " is not understood");
    return times;
}

void Precedence::begin(std::uint64_t now_ns, const Times& times) {
    times_ = times;
    looked_ns_ = now_ns;
    next_look_ns_ = now_ns + kLookNs;
}

void Precedence::weigh(std::uint64_t now_ns) {
    const auto times = read_times();
    if (!times) {
        next_look_ns_ = now_ns + kLookNs;
        return;
    }
    const auto passed = static_cast<double>(now_ns - looked_ns_);
    const bool is_to = standing_.look(static_cast<double>(times->used - times_.used) / passed,
                                      static_cast<double>(times->waited - times_.waited) / passed);
    // What the kernel refuses now is tried again at the next look.
    if (is_to != goes_first_ && (is_to ? go_first() : be_one_of_many())) goes_first_ = is_to;
    begin(now_ns, *times);
}

}  // namespace tidepool::loop
