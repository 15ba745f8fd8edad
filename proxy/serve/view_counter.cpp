#include "proxy/serve/view_counter.h"

#include "conf/log.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>

#include <pthread.h>

namespace tidepool::serve {

namespace {

// Rows of one transaction, so that others who write wait for milliseconds.
constexpr std::size_t kBatch = 1000;

// UUIDs are random where it matters, but not all of their bits are.
std::size_t place_of(const storage::Uuid& image) {
    std::uint64_t halves[2];
    std::memcpy(halves, image.data(), sizeof halves);
    const std::uint64_t mixed = (halves[0] ^ (halves[1] << 1)) * 0x9E3779B97F4A7C15;
    return static_cast<std::size_t>(mixed >> 40);
}

std::int64_t half_life_of(const conf::TieringSettings& settings) {
    return std::chrono::duration_cast<std::chrono::seconds>(settings.promote_window).count();
}

}  // namespace

void ViewTable::count(const storage::Uuid& image, std::int64_t now_s) {
    static_assert((kSlots & (kSlots - 1)) == 0);
    bool is_half_full = false;
    {
        const std::lock_guard lock(mutex_);
        std::size_t place = place_of(image) & (kSlots - 1);
        while (slots_[place].views != 0 && slots_[place].image != image)
            place = (place + 1) & (kSlots - 1);
        Slot& slot = slots_[place];
        if (slot.views == 0) {
            if (used_ == kMostUsed) {
                dropped_.add();
                return;
            }
            slot.image = image;
            is_half_full = ++used_ == kMostUsed / 2;
        }
        ++slot.views;
        slot.last_s = now_s;
        counted_.add();
    }
    if (is_half_full) counter_.wake_early();
}

void ViewTable::take(std::vector<storage::ViewUpdate>& into) {
    if (spare_.empty()) spare_.resize(kSlots);
    {
        const std::lock_guard lock(mutex_);
        if (used_ == 0) return;
        std::swap(slots_, spare_);
        used_ = 0;
    }
    for (Slot& slot : spare_) {
        if (slot.views == 0) continue;
        into.push_back({.image = slot.image, .views = slot.views, .last_s = slot.last_s});
        slot = {};
    }
}

ViewCounter::ViewCounter(const conf::TieringSettings& settings, unsigned loops)
    : interval_(settings.views_flush), half_life_s_(half_life_of(settings)) {
    for (unsigned i = 0; i < loops; ++i)
        tables_.push_back(std::make_unique<ViewTable>(*this));
}

ViewCounter::~ViewCounter() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void ViewCounter::start(storage::Catalog& catalog) {
    thread_ = std::thread([this, &catalog] { write_loop(catalog); });
    pthread_setname_np(thread_.native_handle(), "views");
}

void ViewCounter::change(const conf::TieringSettings& settings) {
    {
        const std::lock_guard lock(mutex_);
        half_life_s_ = half_life_of(settings);
        // Whether views are counted at all is said at the start.
        if (settings.views_flush.count() > 0) interval_ = settings.views_flush;
    }
    changed_.notify_all();
}

void ViewCounter::wake_early() {
    {
        const std::lock_guard lock(mutex_);
        is_early_ = true;
    }
    changed_.notify_all();
}

void ViewCounter::write_loop(storage::Catalog& catalog) {
    bool goes_on = true;
    while (goes_on) {
        {
            std::unique_lock lock(mutex_);
            const auto begun = std::chrono::steady_clock::now();
            while (!ending_ && !is_early_ && std::chrono::steady_clock::now() < begun + interval_)
                changed_.wait_until(lock, begun + interval_);
            is_early_ = false;
            goes_on = !ending_;
        }
        flush(catalog);
    }
}

void ViewCounter::flush(storage::Catalog& catalog) {
    updates_.clear();
    for (const auto& table : tables_)
        table->take(updates_);
    std::int64_t half_life_s = 0;
    {
        const std::lock_guard lock(mutex_);
        half_life_s = half_life_s_;
    }
    // In the order of the rows.
    std::ranges::sort(updates_, {}, &storage::ViewUpdate::image);
    for (std::span<const storage::ViewUpdate> rest = updates_; !rest.empty();) {
        const auto batch = rest.first(std::min(kBatch, rest.size()));
        rest = rest.subspan(batch.size());
        const auto added = catalog.add_views(batch, half_life_s);
        if (added) continue;
        std::uint64_t lost = 0;
        for (const storage::ViewUpdate& update : batch)
            lost += update.views;
        lost_.fetch_add(lost, std::memory_order_relaxed);
        conf::log_warn("views not written down count={} reason=\"{}\"", lost, added.error().text);
    }
    flushes_.add();
}

std::uint64_t ViewCounter::counted() const {
    std::uint64_t sum = 0;
    for (const auto& table : tables_)
        sum += table->counted();
    return sum;
}

std::uint64_t ViewCounter::dropped() const {
    std::uint64_t sum = lost_.load(std::memory_order_relaxed);
    for (const auto& table : tables_)
        sum += table->dropped();
    return sum;
}

}  // namespace tidepool::serve
