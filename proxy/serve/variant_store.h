// Where variants that were made are put: beside their originals.
#pragma once

#include "conf/error.h"
#include "conf/settings.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/serve/file_finder.h"
#include "proxy/serve/remote_pool.h"
#include "proxy/serve/variant_source.h"
#include "storage/open_file.h"
#include "storage/s3_driver.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace tidepool::serve {

// What is stored, as bytes in memory.
struct StorableVariant {
    std::string key;
    std::shared_ptr<const storage::OpenFile> file;
    std::string_view content_type;
};

// Loop thread only, that of `loop`.
class VariantStore {
  public:
    // `finder` outlives it.
    VariantStore(loop::Loop& loop, FileFinder& finder, const conf::Settings& settings);
    // The loop must have ended.
    ~VariantStore();
    VariantStore(const VariantStore&) = delete;
    VariantStore& operator=(const VariantStore&) = delete;

    // Puts it into the pool of its original; once this has returned, whoever looks finds it there.
    // In a bucket it is looked at after that, then written into the catalog, and put on the shelf.
    // With `tried_before` an object that is there already, and is the same, is not put once more,
    // as a store that keeps versions would keep both. Errors are those of storage::Driver::put and
    // of the catalog.
    loop::Task<Result<void>> put(const Original& original, StorableVariant variant,
                                 bool tried_before);

    // For reading what is not stored.
    loop::WorkerPool& workers() { return workers_; }

  private:
    loop::Task<Result<void>> put_local(FileFinder::Site& site, const StorableVariant& variant);
    loop::Task<Result<void>> put_remote(std::shared_ptr<RemotePool> pool,
                                        const StorableVariant& variant, bool tried_before);
    loop::Task<Result<void>> require_room(const conf::PoolSettings& pool, std::uint64_t bytes);
    loop::Task<Result<void>> write_down(const storage::ObjectRecord& row);
    loop::Task<> shelve(const storage::ObjectRecord& row, std::shared_ptr<RemotePool> pool,
                        const StorableVariant& variant);
    std::shared_ptr<storage::Driver> driver_of(const std::shared_ptr<RemotePool>& pool);

    loop::Loop& loop_;
    FileFinder& finder_;
    const std::string key_prefix_;
    // By name; made when a pool is first put to, as its connections are kept.
    struct Driver {
        std::shared_ptr<RemotePool> pool;
        std::shared_ptr<storage::Driver> driver;
    };
    std::map<std::string, Driver> drivers_;
    loop::WorkerPool workers_;  // for calls to buckets
};

}  // namespace tidepool::serve
