#include "proxy/upload/stored_content.h"

#include "transform/strip_metadata.h"

#include <cerrno>
#include <span>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tidepool::upload {

namespace {

// A file that nobody else can cut, as it has no name.
class MappedFile {
  public:
    MappedFile(int fd, std::size_t size)
        : data_(mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0)), size_(size) {}
    ~MappedFile() {
        if (*this) munmap(data_, size_);
    }
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    explicit operator bool() const { return data_ != MAP_FAILED; }
    std::span<const char> bytes() const { return {static_cast<const char*>(data_), size_}; }

  private:
    void* data_;
    std::size_t size_;
};

}  // namespace

Result<std::optional<std::vector<char>>> without_metadata(int fd, std::uint64_t size,
                                                          std::string_view type) {
    const MappedFile file(fd, static_cast<std::size_t>(size));
    if (!file) return fail_errno(errno, "map the upload");
    return transform::without_personal_metadata(file.bytes(), type);
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
