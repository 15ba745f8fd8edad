#include "proxy/upload/pool_writers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace tidepool::upload {

PoolWriters::PoolWriters(conf::PoolSettings settings, Size size, Times times)
    : settings_(std::move(settings)),
      times_(times),
      workers_(fmt::format("up:{}", settings_.name), size.threads, size.queue) {}

// The lock is held. Where the queue is full this is an answer, too.
void PoolWriters::ask(std::shared_ptr<storage::Driver> driver) {
    const Clock::time_point now = Clock::now();
    const bool is_taken =
        workers_.submit(loop::Lane::quick, [this, now, driver = std::move(driver)] {
            auto space = driver->space();
            const std::lock_guard lock(mutex_);
            asked_.reset();
            ++answers_;
            problem_.reset();
            if (space) {
                space_ = *space;
                seen_ = now;
            } else {
                problem_ = std::move(space.error());
            }
            told_.notify_all();
        });
    if (is_taken) asked_ = now;
}

Result<storage::PoolRoom> PoolWriters::room(storage::PoolId pool,
                                            const std::shared_ptr<storage::Driver>& driver) {
    storage::PoolRoom room{.pool = pool};
    if (settings_.max_size_bytes > 0) room.max_bytes = settings_.max_size_bytes;
    std::unique_lock lock(mutex_);
    if (!space_ || Clock::now() - seen_ >= times_.fresh) {
        if (!asked_) ask(driver);
        const std::uint64_t before = answers_;
        const auto is_usable = [&] { return space_ && Clock::now() - seen_ < times_.usable; };
        const auto patience = is_usable() ? times_.wait : times_.first_wait;
        const bool is_told = asked_ && told_.wait_until(lock, *asked_ + patience,
                                                        [&] { return answers_ != before; });
        if (is_told && problem_) return std::unexpected(*problem_);
        if (!is_told && !is_usable()) {
            return fail(
                ErrorKind::timed_out,
                fmt::format("pool {}: its disk does not say how much room it has", settings_.name));
        }
    }
    room.free_bytes = space_->free_bytes;
    return room;
}

PoolWriters& AllPoolWriters::of(const storage::KnownPool& pool) {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(all_, [&](const Entry& each) {
        return each.pool == pool.id && each.writers->settings() == pool.settings;
    });
    if (found != all_.end()) return *found->writers;
    return *all_.emplace_back(pool.id, std::make_unique<PoolWriters>(pool.settings, of_each_))
                .writers;
}

}  // namespace tidepool::upload
