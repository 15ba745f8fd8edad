// What is done with a file that was received, before it counts. Blocking calls.
#pragma once

#include "conf/error.h"
#include "storage/open_file.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tidepool::upload {

// The bytes of a file that nobody else can cut, as it has no name. They stay where they are when
// its descriptor is closed.
class MappedFile {
  public:
    MappedFile(int fd, std::uint64_t size);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    // False: errno says why, until the next call of something else.
    explicit operator bool() const;
    std::span<const char> bytes() const { return {static_cast<const char*>(data_), size_}; }

  private:
    void* const data_;
    const std::size_t size_;
};

// The same file, opened once more, for who reads it.
Result<std::shared_ptr<const storage::OpenFile>> read_only_file(int fd);

}  // namespace tidepool::upload
