// The originals of variants: where they are, and their bytes as a file that a worker can read.
#pragma once

#include "conf/error.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/loop/turns.h"
#include "proxy/serve/file_finder.h"
#include "proxy/serve/origin.h"
#include "proxy/serve/remote_pool.h"
#include "storage/open_file.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tidepool::serve {

// An original at hand. One of `site` and `pool` is the pool where it lives.
struct Original {
    std::string key;
    std::shared_ptr<const storage::OpenFile> file;
    FileFinder::Site* site = nullptr;
    std::shared_ptr<RemotePool> pool;

    // Who makes blocking calls to read the file; null: it is in memory.
    loop::WorkerPool* readers = nullptr;
    // False where somebody has written to it since it was opened.
    bool unchanged() const { return site == nullptr || file->unchanged(); }
    // True where it is new enough for somebody to be writing it still.
    bool may_be_on_its_way() const;
};

// Everything on the loop of `place`, whose thread it belongs to.
class VariantSource {
  public:
    // All outlive it. An original larger than `most_bytes` is too_large, without being fetched.
    // `fetches`: of how many at a time the bytes are brought from a bucket, into memory.
    VariantSource(Origin::Place place, FileFinder& finder, Origin& origin, unsigned fetches,
                  std::uint64_t most_bytes)
        : place_(place),
          finder_(finder),
          origin_(origin),
          turns_(place.loop, fetches),
          most_bytes_(most_bytes) {}

    // The original that has one of these keys, which are those of one image. Errors:
    //   not_found  there is none
    //   too_large  as above
    //   and others it cannot be said, or not be read now; with Error::store of the bucket's
    loop::Task<Result<Original>> open(const std::vector<std::string>& keys);

  private:
    loop::Task<Result<Original>> open_local(const std::vector<std::string>& keys);
    loop::Task<Result<Original>> open_remote(std::string key, std::shared_ptr<RemotePool> pool);
    loop::Task<Result<std::shared_ptr<const storage::OpenFile>>> fetch(
        std::shared_ptr<const RemoteObject> object);

    const Origin::Place place_;
    FileFinder& finder_;
    Origin& origin_;
    loop::Turns turns_;
    const std::uint64_t most_bytes_;
};

}  // namespace tidepool::serve
