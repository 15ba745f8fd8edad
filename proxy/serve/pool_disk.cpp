#include "proxy/serve/pool_disk.h"

#include <utility>

namespace tidepool::serve {

PoolDisk::PoolDisk(const conf::PoolSettings& settings, const std::string& key_prefix,
                   const conf::WorkerSettings& threads)
    : marker_(settings.marker),
      debug_delay_(settings.debug_disk_delay),
      pool_(settings, key_prefix, this),
      workers_(settings.name, threads.threads_per_pool, threads.queue,
               static_cast<std::uint64_t>(threads.wait_timeout.count())) {}

bool PoolDisk::is_of(const conf::PoolSettings& settings) const {
    return settings.name == pool_.name() && settings.base_path == pool_.base_path() &&
           settings.marker == marker_ && settings.debug_disk_delay == debug_delay_;
}

void PoolDisk::close_file(conf::Descriptor file) {
    if (loop::WorkerPool::is_on_worker()) return;  // closes it
    const std::lock_guard lock(mutex_);
    to_close_.push_back(std::move(file));
    // Where the queue is full they are closed with the next one, or at the end.
    if (!is_closing_) is_closing_ = workers_.submit(loop::Lane::quick, [this] { close_files(); });
}

void PoolDisk::close_files() {
    std::vector<conf::Descriptor> files;
    const std::lock_guard lock(mutex_);
    files.swap(to_close_);
    is_closing_ = false;
}

}  // namespace tidepool::serve
