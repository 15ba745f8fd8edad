#include "storage/local_pool.h"

#include "storage/beneath.h"

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace tidepool::storage {

LocalPool::LocalPool(const conf::PoolSettings& settings, std::string key_prefix, FileCloser* closer)
    : name_(settings.name),
      base_path_(settings.base_path),
      marker_(settings.marker),
      key_prefix_(std::move(key_prefix)),
      read_delay_ms_(static_cast<std::uint64_t>(settings.debug_disk_delay.count())),
      closer_(closer) {}

// Opened for each call, like a web server resolves each path from the root: a base path that is
// remounted or swapped for another folder is followed at once.
Result<conf::Descriptor> LocalPool::open_folder() const {
    conf::Descriptor base(::open(base_path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (base) return base;
    auto error = fail_errno(errno, fmt::format("pool {}: base path {}", name_, base_path_));
    error.error().kind = ErrorKind::io;  // its absence says nothing about the files on it
    return error;
}

Result<conf::Descriptor> LocalPool::open_base() const {
    auto base = open_folder();
    if (!base) return base;
    if (auto mounted = require_marker(base->get()); !mounted)
        return std::unexpected(std::move(mounted.error()));
    return base;
}

bool LocalPool::is_marker(std::string_view key) const {
    return !marker_.empty() && key.starts_with(key_prefix_) &&
           key.substr(key_prefix_.size()) == marker_;
}

// Looked for in the folder that is open, so that what was found there and this are of one disk.
Result<void> LocalPool::require_marker(int base) const {
    if (marker_.empty()) return {};
    struct stat status{};
    const bool is_there = fstatat(base, marker_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_there && S_ISREG(status.st_mode)) return {};
    const int error_number = errno;
    const std::string what =
        fmt::format("pool {}: {} has no file {} (pool.marker): is its disk mounted?", name_,
                    base_path_, marker_);
    if (is_there || error_number == ENOENT) return fail(ErrorKind::io, what);
    auto error = fail_errno(error_number, what);
    error.error().kind = ErrorKind::io;
    return error;
}

Result<std::shared_ptr<OpenFile>> LocalPool::open(std::string_view key) const {
    if (!key.starts_with(key_prefix_))
        return fail(ErrorKind::not_found,
                    fmt::format("pool {}: {} is not below {}", name_, key, key_prefix_));
    if (is_marker(key))
        return fail(ErrorKind::not_found, fmt::format("pool {}: {} is its marker", name_, key));
    delay();
    const auto base = open_folder();
    if (!base) return std::unexpected(base.error());
    auto file = open_below(base->get(), std::string(key.substr(key_prefix_.size())));
    if (file) return file;
    if (auto mounted = require_marker(base->get()); !mounted)
        return std::unexpected(std::move(mounted.error()));
    return file;
}

Result<std::shared_ptr<OpenFile>> LocalPool::open_below(int base,
                                                        const std::string& relative) const {
    // O_NONBLOCK: opening a pipe somebody left there must not wait for its writer.
    conf::Descriptor file = open_beneath(base, relative, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!file) return open_failed(errno, fmt::format("pool {}: open {}", name_, relative));

    struct stat status{};
    if (fstat(file.get(), &status) != 0)
        return fail_errno(errno, fmt::format("pool {}: stat {}", name_, relative));
    if (!S_ISREG(status.st_mode)) {
        const auto kind = S_ISDIR(status.st_mode) ? ErrorKind::not_found : ErrorKind::denied;
        return fail(kind, fmt::format("pool {}: {} is not a regular file", name_, relative));
    }
    return std::make_shared<OpenFile>(file.release(), FileIdentity::of(status), read_delay_ms_,
                                      closer_);
}

Result<void> LocalPool::check() const {
    delay();
    const conf::Descriptor folder(::open(base_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return fail_errno(errno, fmt::format("pool {}: base path {}", name_, base_path_));
    return require_marker(folder.get());
}

void LocalPool::delay() const {
    // tidy: allow sleep, the debug delay is meant to block
    if (read_delay_ms_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(read_delay_ms_));
}

}  // namespace tidepool::storage
