#include "proxy/upload/stored_content.h"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tidepool::upload {

MappedFile::MappedFile(int fd, std::uint64_t size)
    : data_(mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_PRIVATE, fd, 0)),
      size_(static_cast<std::size_t>(size)) {}

MappedFile::~MappedFile() {
    if (*this) munmap(data_, size_);
}

MappedFile::operator bool() const {
    return data_ != MAP_FAILED;
}

Result<std::shared_ptr<const storage::OpenFile>> read_only_file(int fd) {
    struct stat status{};
    if (fstat(fd, &status) != 0) return fail_errno(errno, "stat the upload");
    // Not a copy of the descriptor, which would let its reader write.
    const int other = open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_RDONLY | O_CLOEXEC);
    if (other < 0) return fail_errno(errno, "open the upload again");
    return std::make_shared<const storage::OpenFile>(other, storage::FileIdentity::of(status), 0);
}

}  // namespace tidepool::upload
