// Where uploads are held until their pool has them.
#pragma once

#include "conf/descriptor.h"
#include "storage/driver.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace tidepool::storage {

// A new file in a folder of the spool, which is made where there is none; `create` opens it there,
// and errno says why it could not. Errors are those of the disk.
Result<conf::Descriptor> create_in_spool(const std::string& folder,
                                         const std::function<conf::Descriptor()>& create);

// Any thread; blocks.
class Spool {
  public:
    // `folder` is made when it is first needed.
    explicit Spool(std::string folder) : folder_(std::move(folder)) {}

    // A file that becomes the object `key` of the pool: on the pool's own disk where it has one, so
    // that nothing is copied; else a file without a name in the spool's folder, which is put into
    // the bucket when it is kept. Errors are those of the disk.
    Result<std::unique_ptr<StagedFile>> stage(std::shared_ptr<Driver> driver, std::string_view key);

    // What its disk has free for us.
    Result<std::uint64_t> free_bytes() const;

    // One without a name in the spool's folder, that is nobody's object yet.
    Result<conf::Descriptor> create();

    // Always in the spool's folder: it replaces what the pool has under that name by then.
    Result<std::unique_ptr<StagedFile>> hold(std::shared_ptr<Driver> driver, std::string_view key);

  private:
    const std::string folder_;
};

}  // namespace tidepool::storage
