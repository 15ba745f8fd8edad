// A file that is nothing but memory, with a descriptor that can be handed to another process.
#pragma once

#include "conf/descriptor.h"
#include "conf/error.h"
#include "storage/open_file.h"

#include <memory>
#include <string_view>

namespace tidepool::serve {

// Being written; one thread at a time. Its memory goes with the last who holds it.
class MemoryFile {
  public:
    Result<void> append(std::string_view bytes);
    // What was written, which nobody can change any more: a worker that is given it, too. Once.
    Result<std::shared_ptr<const storage::OpenFile>> finish();

  private:
    Result<void> make();

    conf::Descriptor file_;
};

// A memory file of somebody else.
std::shared_ptr<const storage::OpenFile> open_memory_file(conf::Descriptor file);

}  // namespace tidepool::serve
