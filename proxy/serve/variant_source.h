// The originals of variants: where they are, and their bytes as a file that a worker can read.
#pragma once

#include "conf/error.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/loop/turns.h"
#include "proxy/serve/file_finder.h"
#include "proxy/serve/origin.h"
#include "proxy/serve/remote_pool.h"
#include "proxy/serve/variant_workers.h"
#include "storage/open_file.h"
#include "transform/dear.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tidepool::serve {

// Where an image lives: the pool of its original, which is one of `site` and `pool`.
struct Home {
    std::string original;  // its key
    FileFinder::Site* site = nullptr;
    std::shared_ptr<RemotePool> pool;

    const conf::PoolSettings& settings() const {
        return site != nullptr ? site->settings : pool->settings;
    }
};

// An original that was found, and once it was brought is at hand.
struct Original {
    Home home;
    std::shared_ptr<const storage::OpenFile> file;  // null: it is to be brought
    loop::WorkerPool* readers = nullptr;      // who read the file, blocking; null: it is in memory
    std::shared_ptr<const CachedFile> known;  // of a bucket's object
    std::optional<loop::Turns::Turn> turn;    // while its bytes are in memory

    std::uint64_t bytes() const { return file ? file->identity().size : known->identity.size; }
    // False where somebody has written to it since it was opened.
    bool unchanged() const { return home.site == nullptr || file->unchanged(); }
    // True where it is new enough for somebody to be writing it still.
    bool may_be_on_its_way() const;
};

// Blocks. What is known of an original without decoding it.
Result<transform::SourceHead> read_head(const storage::OpenFile& file);

// Everything on the loop of `place`, whose thread it belongs to.
class VariantSource {
  public:
    // All outlive it. An original larger than `most_bytes` is too_large, without being fetched.
    // `fetches`: how many of buckets are in memory at a time for each lane, so that those which
    // wait for a dear one's worker hold up no cheap one.
    VariantSource(Origin::Place place, FileFinder& finder, Origin& origin, unsigned fetches,
                  std::uint64_t most_bytes)
        : place_(place),
          finder_(finder),
          origin_(origin),
          cheap_turns_(place.loop, fetches),
          dear_turns_(place.loop, fetches),
          most_bytes_(most_bytes) {}

    // Finds the original that has one of these keys, which are those of one image. Errors:
    //   not_found  there is none
    //   too_large  as above
    //   and others it cannot be said now
    loop::Task<Result<Original>> find(std::vector<std::string> keys);
    // Brings its bytes, where they are not at hand, for a worker of this lane. An error is
    // not_found, where the bucket does not have it after all, closed after stop(), or one of the
    // bucket's, with Error::store.
    loop::Task<Result<void>> bring(Original& original, VariantLane lane);
    // The same for who knows by its bytes that it is for the other lane: while it waits there, they
    // are not held in memory in a turn of this one.
    loop::Task<Result<void>> bring_anew(Original& original, VariantLane lane);
    // Nothing is fetched any more.
    void stop() { stopping_ = true; }

  private:
    loop::Task<Result<Original>> find_local(std::vector<std::string> keys);
    loop::Task<Result<Original>> find_remote(std::string key, std::shared_ptr<RemotePool> pool);
    loop::Task<Result<std::shared_ptr<const storage::OpenFile>>> fetch(
        std::shared_ptr<const RemoteObject> object);

    const Origin::Place place_;
    FileFinder& finder_;
    Origin& origin_;
    loop::Turns cheap_turns_;
    loop::Turns dear_turns_;
    const std::uint64_t most_bytes_;
    bool stopping_ = false;
};

}  // namespace tidepool::serve
