// What all uploads share, forms and those that come in pieces: who writes them, where they are held
// meanwhile, how many there may be at once, and what became of them.
#pragma once

#include "conf/usable_cores.h"
#include "proxy/api/upload_counters.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/upload/pool_writers.h"
#include "proxy/upload/shared_places.h"
#include "proxy/upload/spool_room.h"
#include "proxy/upload/upload_means.h"
#include "proxy/upload/writing_turns.h"
#include "storage/spool.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidepool::upload {

// Any thread.
class Intake {
  public:
    // `means` outlives it.
    explicit Intake(const UploadMeans& means);

    // An upload that runs, until this goes. The intake outlives it.
    class Running {
      public:
        explicit Running(std::atomic<std::size_t>& count) : count_(&count) {}
        ~Running() {
            if (count_ != nullptr) count_->fetch_sub(1, std::memory_order_relaxed);
        }
        Running(Running&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
        Running& operator=(Running&&) = delete;

      private:
        std::atomic<std::size_t>* count_;
    };
    // Nothing where upload.parallel run already.
    std::optional<Running> begin();
    // The same of a pool: nothing where its uploads have so many of the places that few would be
    // left for those of the other pools, if it did not answer any more.
    std::optional<Running> begin_in(const storage::KnownPool& pool);
    // The same of an owner, who could else hold all places by sending slowly.
    std::optional<SharedPlaces::Place> begin_of(std::string_view owner);
    // Of those of which nobody knows yet whose they are, as settings.upload limits them. Of what
    // has no address, as behind a unix socket, there may be many.
    std::expected<SharedPlaces::Place, SharedPlaces::Full> begin_tokenless(std::string_view client);

    // The reservation of an upload that runs, until this goes: it is renewed meanwhile.
    class Held {
      public:
        Held(Intake& intake, storage::UploadId id);
        ~Held();
        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;

      private:
        Intake& intake_;
        const storage::UploadId id_;
    };
    // The right to store what is at a key: nothing while somebody else in this process has it.
    std::optional<SharedPlaces::Place> hold_key(std::string_view key);

    // For how long a reservation is kept without being renewed.
    static constexpr std::int64_t kLeaseS = 600;
    // Renews those that are held; to be called often within that time. Blocks.
    void renew();

    const UploadMeans& means() const { return means_; }
    // One that ended with this status.
    void count_end(int status);
    api::UploadCounters& counters() { return counters_; }
    const api::UploadCounters& counters() const { return counters_; }
    storage::Spool& spool() { return spool_; }
    // Of which each upload takes some that is held there.
    SpoolRoom& spool_room() { return spool_room_; }
    // Who asks the catalog for uploads, and writes to the spool's disk.
    loop::WorkerPool& workers() { return workers_; }
    // Who hashes what is received, from clients and other nodes, and writes it to the pool; of one
    // that is not known, workers().
    loop::WorkerPool& workers_of(storage::PoolId pool);
    // What a pool can take, see PoolWriters::room. Blocks, but not on the pool's disk.
    Result<storage::PoolRoom> room_of(const storage::DriverSet::Pool& pool);
    // Has the calling thread, one of those, come after the loops, and after the others of its kind
    // until this goes: hashing many uploads must not hold up who only looks at images.
    WritingTurns::Turn stand_back();
    // See storage/job_owner.h.
    const std::string& process() const { return process_; }

  private:
    const UploadMeans& means_;
    storage::Spool spool_;
    SpoolRoom spool_room_;
    api::UploadCounters counters_;
    SharedPlaces owners_;
    SharedPlaces tokenless_;
    SharedPlaces keys_;
    WritingTurns turns_{conf::usable_cores()};
    const std::string process_;
    std::mutex held_mutex_;
    std::vector<storage::UploadId> held_;
    // Last, so that they end first.
    AllPoolWriters writers_;
    loop::WorkerPool workers_;
};

}  // namespace tidepool::upload
