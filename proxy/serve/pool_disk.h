// The folder of a local pool, and the threads that wait for its disk.
#pragma once

#include "conf/descriptor.h"
#include "conf/settings.h"
#include "proxy/loop/worker_pool.h"
#include "storage/local_pool.h"

#include <mutex>
#include <string>
#include <vector>

namespace tidepool::serve {

// Any thread. Outlives all files that were opened by it.
class PoolDisk final : private storage::FileCloser {
  public:
    PoolDisk(const conf::PoolSettings& settings, const std::string& key_prefix,
             const conf::WorkerSettings& threads);

    // Whether a pool with these settings is this one, whatever they say that is not of its disk.
    bool is_of(const conf::PoolSettings& settings) const;
    // Its files are closed by the workers, as a loop may not wait for that.
    const storage::LocalPool& pool() const { return pool_; }
    loop::WorkerPool& workers() { return workers_; }

  private:
    void close_file(conf::Descriptor file) override;
    void close_files();

    const std::string marker_;
    const conf::Milliseconds debug_delay_;
    storage::LocalPool pool_;
    std::mutex mutex_;
    std::vector<conf::Descriptor> to_close_;
    bool is_closing_ = false;   // a worker is going to
    loop::WorkerPool workers_;  // last: it ends first
};

}  // namespace tidepool::serve
