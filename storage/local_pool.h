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
    // the disk fails or is not mounted. For the pool's marker, if it has one, it looks only where
    // it found nothing.
    Result<std::shared_ptr<OpenFile>> open(std::string_view key) const;

    // The base path exists, is a folder, can be read and has the pool's marker.
    Result<void> check() const;

    // The base path, opened to look things up in it. Its absence is the disk's fault (io), and so
    // is that of the pool's marker: what there is then is the empty folder of a mount.
    Result<conf::Descriptor> open_base() const;

    // Whether the key would be that of the marker, which is no object.
    bool is_marker(std::string_view key) const;

    // Takes as long as the pool's debug_disk_delay says that a call of its disk does.
    void delay() const;

    const std::string& name() const { return name_; }
    const std::string& base_path() const { return base_path_; }
    const std::string& key_prefix() const { return key_prefix_; }

  private:
    Result<conf::Descriptor> open_folder() const;
    Result<std::shared_ptr<OpenFile>> open_below(int base, const std::string& relative) const;
    Result<void> require_marker(int base) const;

    std::string name_;
    std::string base_path_;
    std::string marker_;  // "" = none
    std::string key_prefix_;
    std::uint64_t read_delay_ms_;
    FileCloser* closer_;
};

}  // namespace tidepool::storage
