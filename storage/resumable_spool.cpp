#include "storage/resumable_spool.h"

#include "conf/random_name.h"
#include "storage/spool.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tidepool::storage {

namespace {

constexpr mode_t kPieceMode = 0600;
constexpr std::size_t kIdDigits = 32;
constexpr std::size_t kPieceBytes = 256ULL * 1024;

std::unexpected<Error> piece_failed(int error_number, const char* what) {
    auto error = fail_errno(error_number, what);
    if (error_number == ENOSPC || error_number == EDQUOT) error.error().kind = ErrorKind::capped;
    if (error_number == ENOENT) error.error().kind = ErrorKind::not_found;
    return error;
}

}  // namespace

Result<std::uint64_t> ResumableFile::size() const {
    struct stat status{};
    if (fstat(file_.get(), &status) != 0) return piece_failed(errno, "stat a resumable upload");
    return static_cast<std::uint64_t>(status.st_size);
}

Result<void> ResumableFile::append(std::span<const char> bytes) {
    // Opened with O_APPEND, or without a name and written by us alone.
    if (const int failed = conf::write_all(file_.get(), bytes); failed != 0)
        return piece_failed(failed, "write a resumable upload");
    return {};
}

Result<void> ResumableFile::append_all_of(int other) {
    std::vector<char> buffer(kPieceBytes);
    std::uint64_t offset = 0;
    while (true) {
        const auto got = read_at(other, offset, buffer);
        if (!got) return std::unexpected(got.error());
        if (*got == 0) return {};
        if (auto written = append(std::span(buffer).first(*got)); !written) return written;
        offset += *got;
    }
}

Result<void> ResumableFile::cut(std::uint64_t size) {
    if (ftruncate(file_.get(), static_cast<off_t>(size)) != 0)
        return piece_failed(errno, "cut a resumable upload");
    return sync();
}

Result<void> ResumableFile::sync() {
    if (fdatasync(file_.get()) != 0) return piece_failed(errno, "sync a resumable upload");
    return {};
}

Result<std::size_t> read_at(int fd, std::uint64_t offset, std::span<char> into) {
    std::size_t done = 0;
    while (done < into.size()) {
        const auto rest = into.subspan(done);
        const ssize_t got = pread(fd, rest.data(), rest.size(), static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return piece_failed(errno, "read a resumable upload");
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    return done;
}

std::string ResumableSpool::path_of(std::string_view id) const {
    return fmt::format("{}/{}", folder_, id);
}

Result<conf::Descriptor> ResumableSpool::make(const std::string& path, int flags) {
    return create_in_spool(folder_, [&] {
        return conf::Descriptor(::open(path.c_str(), flags | O_CLOEXEC, kPieceMode));
    });
}

Result<void> ResumableSpool::create(std::string_view id) {
    const auto file = make(path_of(id), O_WRONLY | O_CREAT | O_EXCL);
    if (!file) return std::unexpected(file.error());
    const conf::Descriptor folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || fsync(folder.get()) != 0)
        return piece_failed(errno, "sync the folder of resumable uploads");
    return {};
}

ResumableFile& ResumableFile::operator=(ResumableFile&& other) noexcept {
    let_go();
    file_ = std::move(other.file_);
    return *this;
}

// To close it is not enough: a process that is just being started has a copy of the descriptor
// until it runs its program, and with it the lock.
void ResumableFile::let_go() {
    if (file_) flock(file_.get(), LOCK_UN);
}

Result<ResumableFile> ResumableSpool::open(std::string_view id) {
    conf::Descriptor file(::open(path_of(id).c_str(), O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return piece_failed(errno, "open a resumable upload");
    // Held by the descriptor: it ends with the process, whatever becomes of that.
    if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return fail(ErrorKind::busy, "the upload is being written to");
        return piece_failed(errno, "lock a resumable upload");
    }
    struct stat status{};
    if (fstat(file.get(), &status) != 0) return piece_failed(errno, "stat a resumable upload");
    if (status.st_nlink == 0)
        return fail(ErrorKind::not_found, "the upload was ended by another request");
    return ResumableFile(std::move(file));
}

Result<std::uint64_t> ResumableSpool::durable_size(std::string_view id) {
    ResumableFile file(
        conf::Descriptor(::open(path_of(id).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)));
    if (!file) return piece_failed(errno, "open a resumable upload");
    const auto size = file.size();
    // A process that was killed has left it to the kernel. Where that could not write it, nobody
    // can say how much of it is there, and the next one to ask would not be told that it failed.
    if (auto synced = file.sync(); !synced) {
        if (auto removed = remove(id); !removed) return std::unexpected(std::move(removed.error()));
        return std::unexpected(std::move(synced.error()));
    }
    return size;
}

Result<ResumableFile> ResumableSpool::unnamed() {
    auto file = make(folder_, O_RDWR | O_TMPFILE);
    if (!file) return std::unexpected(std::move(file.error()));
    return ResumableFile(std::move(*file));
}

Result<void> ResumableSpool::remove(std::string_view id) {
    if (unlink(path_of(id).c_str()) != 0 && errno != ENOENT)
        return piece_failed(errno, "remove a resumable upload");
    return {};
}

Result<std::vector<std::string>> ResumableSpool::untouched_since(std::int64_t before_s) {
    std::vector<std::string> ids;
    std::error_code error;
    std::filesystem::directory_iterator entry(folder_, error);
    if (error == std::errc::no_such_file_or_directory) return ids;
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        std::string id = entry->path().filename();
        struct stat status{};
        if (!is_resumable_id(id) || lstat(entry->path().c_str(), &status) != 0) continue;
        if (status.st_mtim.tv_sec < before_s) ids.push_back(std::move(id));
    }
    if (error) return piece_failed(error.value(), "list the folder of resumable uploads");
    return ids;
}

std::string new_resumable_id() {
    return conf::random_name() + conf::random_name();
}

bool is_resumable_id(std::string_view text) {
    return text.size() == kIdDigits && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

}  // namespace tidepool::storage
