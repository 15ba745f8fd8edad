#include "conf/small_file.h"

#include "conf/bytes.h"
#include "conf/descriptor.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tidepool::conf {

namespace {

// Up to `max_bytes`, fewer at the end of the file.
Result<std::string> read_up_to(int descriptor, const std::string& path, std::size_t max_bytes) {
    std::string content(max_bytes, '\0');
    std::size_t filled = 0;
    while (filled < max_bytes) {
        const ssize_t got = read(descriptor, content.data() + filled, max_bytes - filled);
        if (got == 0) break;
        if (got > 0) {
            filled += static_cast<std::size_t>(got);
        } else if (errno != EINTR) {
            return fail_errno(errno, "read " + path);
        }
    }
    content.resize(filled);
    return content;
}

constexpr mode_t kReadableByAll = 0644;

// A file beside its target that is removed again unless it took the target's place.
class Replacement {
  public:
    explicit Replacement(std::string target)
        : target_(std::move(target)), name_(target_ + ".XXXXXX") {
        file_ = Descriptor(mkostemp(name_.data(), O_CLOEXEC));
    }
    ~Replacement() {
        if (file_ && !is_in_place_) unlink(name_.c_str());
    }
    Replacement(const Replacement&) = delete;
    Replacement& operator=(const Replacement&) = delete;

    // 0, or the errno of what failed.
    int write(std::string_view content, mode_t mode) {
        if (!file_) return errno;
        if (const int failed = write_all(file_.get(), content); failed != 0) return failed;
        return fchmod(file_.get(), mode) == 0 && fsync(file_.get()) == 0 ? 0 : errno;
    }
    int take_place() {
        if (rename(name_.c_str(), target_.c_str()) != 0) return errno;
        is_in_place_ = true;
        const std::string folder = std::filesystem::path(target_).parent_path().string();
        const Descriptor opened(
            open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        return opened && fsync(opened.get()) == 0 ? 0 : errno;
    }

  private:
    std::string target_;
    std::string name_;
    Descriptor file_{};
    bool is_in_place_ = false;
};

}  // namespace

Result<std::string> read_small_file(const std::string& path, std::size_t max_bytes) {
    // A path from a file may hold a NUL, which would end it here.
    if (path.find('\0') != path.npos) return fail(ErrorKind::invalid, "a path has no NUL");
    // O_NONBLOCK, for open() waits at a pipe without a writer.
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) return fail_errno(errno, "open " + path);

    struct stat status{};
    if (fstat(file.get(), &status) != 0) return fail_errno(errno, "stat " + path);
    if (!S_ISREG(status.st_mode)) return fail(ErrorKind::denied, path + " is not a regular file");

    // One byte more than allowed tells a full file from a longer one; its stated size may change
    // meanwhile.
    auto content = read_up_to(file.get(), path, max_bytes + 1);
    if (content && content->size() > max_bytes) {
        return fail(ErrorKind::invalid, path + " is larger than " + format_size(max_bytes));
    }
    return content;
}

Result<void> may_write(const std::string& path) {
    struct stat status{};
    if (stat(path.c_str(), &status) == 0) {
        if (S_ISDIR(status.st_mode)) return fail_errno(EISDIR, path);
        if (faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0) return {};
        return fail_errno(errno, "write " + path);
    }
    if (errno != ENOENT) return fail_errno(errno, path);
    std::filesystem::path folder = std::filesystem::path(path).parent_path();
    if (stat(folder.c_str(), &status) != 0 && errno == ENOENT) folder = folder.parent_path();
    if (faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return {};
    return fail_errno(errno, "make " + path + " in " + folder.string());
}

void make_last_folder(const std::string& path) {
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    if (!folder.empty()) mkdir(folder.c_str(), 0750);
}

Result<void> replace_small_file(const std::string& path, std::string_view content) {
    if (path.find('\0') != path.npos) return fail(ErrorKind::invalid, "a path has no NUL");
    struct stat status{};
    std::string target = path;
    mode_t mode = kReadableByAll;
    if (stat(path.c_str(), &status) == 0) {
        if (!S_ISREG(status.st_mode))
            return fail(ErrorKind::denied, path + " is not a regular file");
        mode = status.st_mode & 07777;
        std::error_code error;
        target = std::filesystem::canonical(path, error).string();
        if (error) return fail_errno(error.value(), "open " + path);
    }
    Replacement beside(std::move(target));
    if (const int failed = beside.write(content, mode); failed != 0)
        return fail_errno(failed, "write " + path);
    if (const int failed = beside.take_place(); failed != 0)
        return fail_errno(failed, "replace " + path);
    return {};
}

}  // namespace tidepool::conf
