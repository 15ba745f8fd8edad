// A pool on a mounted file system: the tree that used to be served as /uploads. Blocking calls
// only.
#pragma once

#include "conf/error.h"
#include "conf/settings.h"
#include "storage/beneath.h"
#include "storage/open_file.h"

#include <memory>
#include <string>
#include <string_view>

namespace tidepool::storage {

// Finds and opens files below the pool's base path and never outside it (invariant 9). Safe from
// any thread.
class LocalPool {
  public:
    // `key_prefix` is what keys have in front of their place below the base path ("uploads/").
    // `closer`, of the files that are opened, outlives them; may be null.
    LocalPool(const conf::PoolSettings& settings, std::string key_prefix,
              FileCloser* closer = nullptr);

    // Opens a regular file for reading. not_found: there is none by that name, or it is a folder;
    // denied: it is a link, lies behind one, is a device or pipe, or the rights do not suffice; io:
    // the disk fails or is not mounted.
    Result<std::shared_ptr<OpenFile>> open(std::string_view key) const;

    // The base path exists, is a folder and can be read.
    Result<void> check() const;

    // The base path, opened to look things up in it. Its absence is the disk's fault (io).
    Result<conf::Descriptor> open_base() const;

    // Takes as long as the pool's debug_disk_delay says that a call of its disk does.
    void delay() const;

    const std::string& name() const { return name_; }
    const std::string& base_path() const { return base_path_; }
    const std::string& key_prefix() const { return key_prefix_; }

  private:
    std::string name_;
    std::string base_path_;
    std::string key_prefix_;
    std::uint64_t read_delay_ms_;
    FileCloser* closer_;
};

}  // namespace tidepool::storage
