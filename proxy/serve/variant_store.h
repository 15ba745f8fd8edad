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

#include <cstddef>
#include <cstdint>
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
    // In a bucket it is looked at after that, put on the shelf, and written into the catalog. An
    // object that is there already, and is the same, is not put once more, as a store that keeps
    // versions would keep both: somebody may have been killed between putting it and the row.
    // Errors are those of storage::Driver::put and of the catalog, and
    //   not_found  the original has gone meanwhile, and what was put with it
    //   busy       the same, to another pool
    //   capped     the pool is full
    //   overloaded as much is on its way into this pool as may be held in memory for that
    loop::Task<Result<void>> put(Home home, StorableVariant variant);

    // Whether so many bytes more would be taken for the pool now: else capped or overloaded.
    loop::Task<Result<void>> require_room(const conf::PoolSettings& pool, std::uint64_t bytes);

  private:
    // What is on its way into a pool.
    struct OnItsWay {
        std::size_t variants = 0;
        std::uint64_t bytes = 0;

        bool takes(std::uint64_t more) const;
    };
    class Place;
    // How a bucket is put to; made when it first is, as its connections are kept. With threads of
    // its own, so that a slow one holds up none of another one's.
    struct Driver {
        std::shared_ptr<RemotePool> pool;
        std::shared_ptr<storage::Driver> driver;
        std::unique_ptr<loop::WorkerPool> workers;
    };

    loop::Task<Result<void>> store(const Home& home, const StorableVariant& variant);
    loop::Task<Result<void>> put_local(const Home& home, const StorableVariant& variant);
    loop::Task<Result<void>> put_remote(const Home& home, const StorableVariant& variant);
    loop::Task<Result<void>> write_down(const Home& home, const storage::ObjectRecord& row);
    loop::Task<> shelve(const storage::ObjectRecord& row, std::shared_ptr<RemotePool> pool,
                        const StorableVariant& variant);
    Driver& driver_of(const std::shared_ptr<RemotePool>& pool);

    loop::Loop& loop_;
    FileFinder& finder_;
    const std::string key_prefix_;
    const std::size_t queue_;
    std::map<std::string, Driver> drivers_;         // by the pool's name; they stay
    std::map<std::string, OnItsWay> on_their_way_;  // by the pool's name
};

}  // namespace tidepool::serve
