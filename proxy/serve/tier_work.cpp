#include "proxy/serve/tier_work.h"

#include "conf/day_window.h"
#include "conf/log.h"
#include "storage/job_owner.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>
#include <vector>

#include <pthread.h>

namespace tidepool::serve {

namespace {

// Whose turn it is; held from one sweep until shortly before the next.
constexpr const char* kTurn = "tiering turn";
// A server that starts has other things to do at first.
constexpr std::chrono::milliseconds kFirst{10'000};
constexpr std::chrono::milliseconds kLook{60'000};

bool is_in_window(const conf::TieringSettings& settings, std::int64_t now_s) {
    const auto window = conf::parse_day_window(settings.window);
    return !window || window->contains(now_s);  // "" is no window
}

}  // namespace

TierWork::TierWork(const conf::TieringSettings& settings, storage::Catalog& catalog,
                   storage::DriverSet& drivers, std::function<void()> queued)
    : catalog_(catalog),
      drivers_(drivers),
      queued_(std::move(queued)),
      owner_(storage::new_job_owner()),
      settings_(settings) {}

TierWork::~TierWork() {
    stop();
}

void TierWork::start() {
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "tiering");
}

void TierWork::change(const conf::TieringSettings& settings) {
    {
        const std::lock_guard lock(mutex_);
        if (settings == settings_) return;
        settings_ = settings;
        has_changed_ = true;
    }
    changed_.notify_all();
}

void TierWork::ask_to_stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
}

void TierWork::stop() {
    ask_to_stop();
    if (thread_.joinable()) thread_.join();
}

TierWork::Counters TierWork::counters() const {
    const std::lock_guard lock(mutex_);
    return counters_;
}

TierWork::Wake TierWork::wait(std::chrono::milliseconds time, conf::TieringSettings& settings) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, time, [this] { return stopping_ || has_changed_; });
    settings = settings_;
    if (stopping_) return Wake::stop;
    return std::exchange(has_changed_, false) ? Wake::changed : Wake::time;
}

void TierWork::run() {
    using Clock = std::chrono::steady_clock;
    conf::TieringSettings settings;
    {
        const std::lock_guard lock(mutex_);
        settings = settings_;
    }
    auto due = Clock::now() + std::min<std::chrono::milliseconds>(settings.sweep_interval, kFirst);
    while (true) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now());
        // Where it is due and may not be, outside of its window, that is looked at now and then.
        const Wake wake = wait(left.count() > 0 ? std::min(left, kLook) : kLook, settings);
        if (wake == Wake::stop) return;
        if (wake == Wake::time && Clock::now() < due) continue;
        if (!settings.enabled || !is_in_window(settings, std::time(nullptr))) continue;
        if (is_our_turn(settings)) sweep(settings);
        due = Clock::now() + settings.sweep_interval;
    }
}

bool TierWork::is_our_turn(const conf::TieringSettings& settings) {
    const std::int64_t now_ms = static_cast<std::int64_t>(std::time(nullptr)) * 1000;
    const std::int64_t until_ms = now_ms + settings.sweep_interval.count() * 9 / 10;
    const auto is_ours = catalog_.claim(kTurn, owner_, now_ms, until_ms);
    if (!is_ours) conf::log_warn("no sweep is made reason=\"{}\"", is_ours.error().text);
    return is_ours && *is_ours;
}

void TierWork::sweep(const conf::TieringSettings& settings) {
    const std::vector<storage::KnownPool> pools = drivers_.pools();
    const auto swept =
        storage::run_sweep({catalog_, pools, settings, &drivers_}, owner_, std::time(nullptr));
    if (swept) {
        note(*swept);
        if (swept->queued > 0 && queued_) queued_();
        return;
    }
    conf::log_warn("sweep failed reason=\"{}\"", swept.error().text);
    const std::lock_guard lock(mutex_);
    ++counters_.sweeps;
    ++counters_.failed;
}

void TierWork::note(const storage::Sweep& sweep) {
    const storage::TierPlan& plan = sweep.plan.plan;
    if (sweep.queued > 0)
        conf::log_info("sweep moves={} bytes={} batch=\"{}\"", sweep.queued, plan.bytes,
                       sweep.batch);
    for (const std::string& each : plan.notes)
        conf::log_info("sweep note=\"{}\"", each);
    const std::lock_guard lock(mutex_);
    ++counters_.sweeps;
    counters_.planned += plan.moves.size();
    counters_.is_stopped = !sweep.plan.stopped.empty();
    if (sweep.queued == 0) return;
    counters_.queued_bytes += plan.bytes;
    for (const storage::TierMove& move : plan.moves)
        ++counters_.queued[static_cast<std::size_t>(move.reason)];
}

}  // namespace tidepool::serve
