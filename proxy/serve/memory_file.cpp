#include "proxy/serve/memory_file.h"

#include "transform/worker_channel.h"

#include <cerrno>
#include <utility>

#include <sys/mman.h>
#include <sys/stat.h>

namespace tidepool::serve {

Result<void> MemoryFile::make() {
    if (file_) return {};
    file_ = conf::Descriptor(memfd_create("source", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file_) return fail_errno(errno, "make a memory file");
    return {};
}

Result<void> MemoryFile::append(std::string_view bytes) {
    if (auto made = make(); !made) return made;
    if (const int failed = conf::write_all(file_.get(), bytes); failed != 0)
        return fail_errno(failed, "write a memory file");
    return {};
}

Result<std::shared_ptr<const storage::OpenFile>> MemoryFile::finish() {
    if (auto made = make(); !made) return std::unexpected(std::move(made.error()));
    if (auto sealed = transform::seal_file(file_.get()); !sealed)
        return std::unexpected(std::move(sealed.error()));
    return open_memory_file(std::move(file_));
}

std::shared_ptr<const storage::OpenFile> open_memory_file(conf::Descriptor file) {
    struct stat status{};
    fstat(file.get(), &status);  // of a memory file: it cannot fail
    return std::make_shared<storage::OpenFile>(file.release(), storage::FileIdentity::of(status),
                                               0);
}

}  // namespace tidepool::serve
