#include "proxy/serve/purge_progress.h"

namespace tidepool::serve {

PurgeProgress::Progress PurgeProgress::of(storage::JobId job, std::int64_t asked) const {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(job);
    const bool is_same = known != known_.end() && known->second.asked == asked;
    return is_same ? known->second : Progress{.asked = asked};
}

void PurgeProgress::keep(storage::JobId job, const Progress& progress) {
    const std::lock_guard lock(mutex_);
    drop(job);
    if (progress.size() > most_) return;
    if (size_ + progress.size() > most_) {
        known_.clear();
        size_ = 0;
    }
    size_ += progress.size();
    known_.emplace(job, progress);
}

void PurgeProgress::forget(storage::JobId job) {
    const std::lock_guard lock(mutex_);
    drop(job);
}

void PurgeProgress::drop(storage::JobId job) {
    const auto known = known_.find(job);
    if (known == known_.end()) return;
    size_ -= known->second.size();
    known_.erase(known);
}

}  // namespace tidepool::serve
