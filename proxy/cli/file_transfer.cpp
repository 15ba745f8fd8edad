#include "proxy/cli/file_transfer.h"

#include "conf/descriptor.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tidepool::cli {

namespace {}  // namespace

FileSource::FileSource(std::string path, int fd, std::uint64_t size)
    : path_(std::move(path)), fd_(fd), size_(size) {}

FileSource::FileSource(FileSource&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

FileSource::~FileSource() {
    if (fd_ >= 0) ::close(fd_);
}

Result<FileSource> FileSource::open(const std::string& path) {
    // O_NONBLOCK: a pipe without a writer must not be waited for; it is refused below.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail_errno(errno, path);
    struct stat status{};
    FileSource source(path, fd, 0);
    if (fstat(fd, &status) != 0) return fail_errno(errno, path);
    if (!S_ISREG(status.st_mode)) return fail(ErrorKind::invalid, path + ": not a regular file");
    source.size_ = static_cast<std::uint64_t>(status.st_size);
    return source;
}

Result<transform::ContentLook> FileSource::look() {
    std::vector<char> beginning(transform::kSniffBytes);
    const ssize_t count = ::pread(fd_, beginning.data(), beginning.size(), 0);
    if (count < 0) return fail_errno(errno, path_);
    return transform::look_at(std::span(beginning).first(static_cast<std::size_t>(count)));
}

Result<std::size_t> FileSource::read(std::span<char> into) {
    while (true) {
        const ssize_t count = ::read(fd_, into.data(), into.size());
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EINTR) return fail_errno(errno, path_);
    }
}

Result<void> FileSource::rewind() {
    if (::lseek(fd_, 0, SEEK_SET) < 0) return fail_errno(errno, path_);
    return {};
}

Result<void> LookSink::write(std::span<const char> bytes) {
    sha256_.update(bytes);
    size_ += bytes.size();
    const std::size_t more = std::min(bytes.size(), transform::kSniffBytes - beginning_.size());
    beginning_.insert(beginning_.end(), bytes.begin(),
                      bytes.begin() + static_cast<std::ptrdiff_t>(more));
    return {};
}

FileSink::FileSink(std::string path, std::string temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}

FileSink::~FileSink() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    if (fd_ >= 0 && fd_ != STDOUT_FILENO) ::close(fd_);
}

Result<std::unique_ptr<FileSink>> FileSink::open(const std::string& path) {
    if (path == "-") {
        return std::unique_ptr<FileSink>(new FileSink("standard output", "", STDOUT_FILENO));
    }
    std::string temporary = path + ".XXXXXX";
    const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
    if (fd < 0) return fail_errno(errno, path);
    return std::unique_ptr<FileSink>(new FileSink(path, temporary, fd));
}

Result<void> FileSink::write(std::span<const char> bytes) {
    if (const int failed = conf::write_all(fd_, bytes); failed != 0)
        return fail_errno(failed, path_);
    return look_.write(bytes);
}

Result<void> FileSink::commit() {
    if (temporary_.empty()) return {};
    constexpr mode_t kReadable = 0644;  // mkostemp made it 0600
    if (::fchmod(fd_, kReadable) != 0 || ::fsync(fd_) != 0 ||
        ::rename(temporary_.c_str(), path_.c_str()) != 0) {
        return fail_errno(errno, path_);
    }
    temporary_.clear();
    return {};
}

}  // namespace tidepool::cli
