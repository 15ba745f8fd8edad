#include "storage/local_driver.h"

#include "conf/fault_point.h"
#include "conf/random_name.h"
#include "storage/key.h"
#include "storage/local_walk.h"
#include "storage/streams.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace tidepool::storage {

namespace {

constexpr std::size_t kBufferBytes = 256ULL * 1024;
// What a signed URL alone opens is not for every user of this machine.
constexpr mode_t kFileMode = 0644;
constexpr mode_t kPrivateFileMode = 0640;
constexpr mode_t kFolderMode = 0755;
constexpr mode_t kPrivateFolderMode = 0750;
constexpr int kMostNames = 1000;

// Our temporary names: hidden, and with an ending that is_temporary_name() knows, so that neither
// this server nor another program serves them.
constexpr std::string_view kTemporaryStart = ".tidepool-";
constexpr std::string_view kTemporaryEnd = ".tmp";

std::string new_temporary_name() {
    return fmt::format("{}{}{}", kTemporaryStart, conf::random_name(), kTemporaryEnd);
}

bool is_our_temporary(std::string_view name) {
    constexpr std::size_t kDigits = 16;
    if (name.size() != kTemporaryStart.size() + kDigits + kTemporaryEnd.size()) return false;
    return name.starts_with(kTemporaryStart) && name.ends_with(kTemporaryEnd);
}

bool is_servable(std::string_view name) {
    return !name.empty() && name.front() != '.' && name.size() <= kMaxSegmentBytes &&
           !is_temporary_name(name);
}

Error with_kind(Error error, ErrorKind kind) {
    error.kind = kind;
    return error;
}

Error error_of(int error_number, const std::string& what) {
    Error error = fail_errno(error_number, what).error();
    switch (error_number) {
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
            return with_kind(std::move(error), ErrorKind::capped);
        case ENOTDIR:
        case EISDIR:
        case EEXIST:
        case ENOTEMPTY:
            return with_kind(std::move(error), ErrorKind::conflict);
        default:
            return error;
    }
}

// As rename, of a regular file to a name that nothing has; else errno is EEXIST. NFS cannot promise
// that, so there the name is looked for first.
bool rename_to_new(int from, const std::string& name, int to, const std::string& to_name) {
    struct stat status{};
    if (fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
    if (!S_ISREG(status.st_mode)) {
        errno = EISDIR;
        return false;
    }
    if (renameat2(from, name.c_str(), to, to_name.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL && errno != ENOSYS) return false;
    if (fstatat(to, to_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return false;
    }
    return errno == ENOENT && renameat(from, name.c_str(), to, to_name.c_str()) == 0;
}

// A file that goes away unless it gets its name: one without any where the file system has such;
// else, as on NFS, one with a temporary name, which a crash leaves behind.
class NewFile {
  public:
    NewFile(int folder, mode_t mode)
        : folder_(folder),
          mode_(mode),
          file_(open_beneath(folder, ".", O_RDWR | O_TMPFILE, mode_)) {
        if (file_ || errno == ENOSPC || errno == EDQUOT || errno == EMFILE) return;
        std::string name = new_temporary_name();
        file_ = open_beneath(folder, name, O_RDWR | O_CREAT | O_EXCL, mode_);
        if (file_) name_ = std::move(name);
    }
    ~NewFile() {
        const int kept = errno;
        if (!name_.empty()) unlinkat(folder_, name_.c_str(), 0);
        errno = kept;
    }
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;

    explicit operator bool() const { return static_cast<bool>(file_); }
    int fd() const { return file_.get(); }

    // Whatever the umask is. To be called before it gets its name, so that this never stands for
    // less than all of it.
    bool sync() const { return fchmod(fd(), mode_) == 0 && fsync(fd()) == 0; }

    // A name that nothing has; else errno is EEXIST.
    bool take(const std::string& name) {
        if (name_.empty()) return link_to(name);
        if (!rename_to_new(folder_, name_, folder_, name)) return false;
        name_.clear();
        return true;
    }
    // A name that something may have, which is gone then.
    bool take_over(const std::string& name) {
        if (name_.empty()) {
            if (link_to(name)) return true;
            if (errno != EEXIST) return false;
            std::string passing = new_temporary_name();  // a link replaces nothing
            if (!link_to(passing)) return false;
            name_ = std::move(passing);
        }
        if (renameat(folder_, name_.c_str(), folder_, name.c_str()) != 0) return false;
        name_.clear();
        return true;
    }

    // That it could have one.
    bool try_naming() {
        const std::string name = new_temporary_name();
        return take(name) && unlinkat(folder_, name.c_str(), 0) == 0;
    }

  private:
    bool link_to(const std::string& name) const {
        const std::string opened = fmt::format("/proc/self/fd/{}", fd());
        return linkat(AT_FDCWD, opened.c_str(), folder_, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
    }

    int folder_;
    mode_t mode_;
    conf::Descriptor file_;
    std::string name_;  // a temporary one
};

Result<void> write_all(int fd, std::span<const char> bytes) {
    if (const int failed = conf::write_all(fd, bytes); failed != 0)
        return std::unexpected(error_of(failed, "write"));
    return {};
}

// The folders of which this process has seen to it that they are still there after a crash, with
// all that they are in: what is put into one of them needs no more than that one synced. Known by
// what they are and not by their names, as another program may remove one and make it anew. All
// drivers share them, as some live for one call. Any thread.
class SettledFolders {
  public:
    static SettledFolders& of_process() {
        static auto* const folders = new SettledFolders;  // for threads that outlive main()
        return *folders;
    }
    bool has(int folder) {
        const std::optional<Id> id = id_of(folder);
        const std::lock_guard lock(mutex_);
        return id && ids_.contains(*id);
    }
    void add(int folder) {
        constexpr std::size_t kMost = 10'000;
        const std::optional<Id> id = id_of(folder);
        if (!id) return;
        const std::lock_guard lock(mutex_);
        if (ids_.size() >= kMost) ids_.clear();  // each costs some calls once more
        ids_.insert(*id);
    }

  private:
    // Device, inode, and when it was made, as numbers of inodes are used again; 0 where the file
    // system does not say.
    using Id = std::tuple<unsigned, unsigned, std::uint64_t, std::int64_t, unsigned>;
    static std::optional<Id> id_of(int folder) {
        struct statx status{};
        const int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
        if (statx(folder, "", flags, STATX_INO | STATX_BTIME, &status) != 0) return std::nullopt;
        const bool has_time = (status.stx_mask & STATX_BTIME) != 0;
        return Id{status.stx_dev_major, status.stx_dev_minor, status.stx_ino,
                  has_time ? status.stx_btime.tv_sec : 0, has_time ? status.stx_btime.tv_nsec : 0};
    }

    std::mutex mutex_;
    std::set<Id> ids_;
};

// Writes what it takes to a file, and hashes it. A source longer than `size` is found out before
// the disk is full of it.
class FileSink final : public ByteSink {
  public:
    FileSink(int fd, std::uint64_t size) : fd_(fd), size_(size) {}
    Result<void> write(std::span<const char> bytes) override {
        if (bytes.size() > size_ - written_)
            return fail(ErrorKind::corrupt, "the source is longer than was said");
        written_ += bytes.size();
        hash_.update(bytes);
        return write_all(fd_, bytes);
    }
    Result<conf::Sha256Digest> finish() {
        if (written_ != size_)
            return fail(ErrorKind::corrupt, "the source is shorter than was said");
        return hash_.finish();
    }

  private:
    int fd_;
    std::uint64_t size_;
    std::uint64_t written_ = 0;
    conf::Sha256 hash_;
};

Result<void> pull_all(ByteSource& source, ByteSink& sink) {
    std::vector<char> buffer(kBufferBytes);
    while (true) {
        const auto got = source.read(buffer);
        if (!got) return std::unexpected(got.error());
        if (*got == 0) return {};
        if (auto written = sink.write({buffer.data(), *got}); !written) return written;
    }
}

// True where the kernel copied all, by sharing extents or by the server's own means; false where
// it cannot between these two.
Result<bool> copy_in_kernel(int from, int to, std::uint64_t size) {
    if (ioctl(to, FICLONE, from) == 0) return true;
    std::uint64_t copied = 0;
    while (copied < size) {
        const ssize_t more = copy_file_range(from, nullptr, to, nullptr, size - copied, 0);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0 && copied == 0 && errno != ENOSPC && errno != EDQUOT && errno != EIO)
            return false;
        if (more < 0) return std::unexpected(error_of(errno, "copy"));
        if (more == 0) return fail(ErrorKind::busy, "the source became shorter");
        copied += static_cast<std::uint64_t>(more);
    }
    return true;
}

Result<conf::Sha256Digest> hash_of(int fd, std::uint64_t size) {
    std::vector<char> buffer(kBufferBytes);
    conf::Sha256 hash;
    std::uint64_t offset = 0;
    while (true) {
        const ssize_t got = pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(errno, "read back");
        if (got == 0) break;
        hash.update({buffer.data(), static_cast<std::size_t>(got)});
        offset += static_cast<std::uint64_t>(got);
    }
    if (offset != size) return fail(ErrorKind::corrupt, "the copy has another size");
    return hash.finish();
}

}  // namespace

// A file's folder, open, and its name there.
struct LocalDriver::Place {
    conf::Descriptor folder;
    std::string name;
};

LocalDriver::LocalDriver(const conf::PoolSettings& settings, std::string key_prefix)
    : files_(settings, std::move(key_prefix)),
      file_mode_(settings.is_private() ? kPrivateFileMode : kFileMode),
      folder_mode_(settings.is_private() ? kPrivateFolderMode : kFolderMode) {}

std::unexpected<Error> LocalDriver::failed(Error error, std::string_view key) const {
    StoreDetail detail;
    detail.pool = pool();
    detail.key = key;
    error.store = std::make_shared<const StoreDetail>(std::move(detail));
    return std::unexpected(std::move(error));
}

std::unexpected<Error> LocalDriver::failed(int error_number, std::string_view what,
                                           std::string_view key) const {
    return failed(error_of(error_number, fmt::format("pool {}: {} {}", pool(), what, key)), key);
}

Result<std::string> LocalDriver::relative_of(std::string_view key) const {
    const std::string& prefix = files_.key_prefix();
    if (!key.starts_with(prefix) || key.size() == prefix.size() || key.size() > kMaxKeyBytes ||
        key.find('\0') != key.npos) {
        return failed(
            {ErrorKind::invalid, fmt::format("pool {}: {} is no key of this pool", pool(), key)},
            key);
    }
    return std::string(key.substr(prefix.size()));
}

Result<void> LocalDriver::require_servable(std::string_view key) const {
    const auto relative = relative_of(key);
    if (!relative) return std::unexpected(relative.error());
    for (std::size_t start = 0; start <= relative->size();) {
        const std::size_t end = std::min(relative->find('/', start), relative->size());
        const auto name = std::string_view(*relative).substr(start, end - start);
        if (!is_servable(name) || files_.is_marker(key)) {
            return failed(
                {ErrorKind::invalid,
                 fmt::format("pool {}: put {}: such a name is never served", pool(), key)},
                key);
        }
        start = end + 1;
    }
    return {};
}

// Where something is to be put (`make`), all folders on the way there are durable on return. That
// there is one already says nothing: somebody else may have just made it, or an attempt that failed
// or was killed before it was synced. So all of them are synced when this process first puts
// something into a folder, and whenever it makes one; a day's folder costs that once.
Result<LocalDriver::Place> LocalDriver::place_of(std::string_view key, bool make) const {
    const auto relative = relative_of(key);
    if (!relative) return std::unexpected(relative.error());
    if (files_.is_marker(key)) {
        return failed({ErrorKind::not_found, fmt::format("pool {}: {} is its marker", pool(), key)},
                      key);
    }
    const auto base = files_.open_base();
    if (!base) return failed(base.error(), key);
    const std::size_t slash = relative->rfind('/');
    const std::string folder = slash == relative->npos ? "." : relative->substr(0, slash);
    conf::Descriptor opened = open_beneath(base->get(), folder, O_RDONLY | O_DIRECTORY);
    if (!opened && errno == ENOENT && make) {
        auto made = make_folders(base->get(), folder);
        if (!made) return failed(made.error(), key);
        opened = std::move(*made);
        SettledFolders::of_process().add(opened.get());
    }
    if (!opened) {
        // For a put a file in a folder's place is in the way, for others it is an absence.
        if (make) return failed(errno, "open folder of", key);
        return failed(
            open_failed(errno, fmt::format("pool {}: open folder of {}", pool(), key)).error(),
            key);
    }
    if (make && !SettledFolders::of_process().has(opened.get())) {
        if (auto synced = sync_folders_of(base->get(), folder); !synced)
            return failed(synced.error(), key);
        SettledFolders::of_process().add(opened.get());
    }
    return Place{std::move(opened), relative->substr(slash + 1)};  // npos + 1 is 0
}

Result<conf::Descriptor> LocalDriver::make_folders(int base, const std::string& folder) const {
    conf::Descriptor at = open_beneath(base, ".", O_RDONLY | O_DIRECTORY);
    std::size_t start = 0;
    while (at && start < folder.size()) {
        const std::size_t end = std::min(folder.find('/', start), folder.size());
        const std::string name = folder.substr(start, end - start);
        if (mkdirat(at.get(), name.c_str(), folder_mode_) != 0 && errno != EEXIST) break;
        conf::Descriptor next = open_beneath(at.get(), name, O_RDONLY | O_DIRECTORY);
        if (!next) break;
        at = std::move(next);
        start = end + 1;
    }
    if (!at || start < folder.size()) {
        return std::unexpected(
            error_of(errno, fmt::format("pool {}: make folder {}", pool(), folder)));
    }
    // Before anything inside is said to be durable, they have to be so themselves.
    if (auto synced = sync_folders_of(base, folder); !synced)
        return std::unexpected(std::move(synced.error()));
    return at;
}

// Syncs the folder that this file or folder is in, and all that one is in.
Result<void> LocalDriver::sync_folders_of(int base, const std::string& relative) const {
    for (std::size_t slash = 0; slash != relative.npos; slash = relative.find('/', slash + 1)) {
        const std::string folder = slash == 0 ? "." : relative.substr(0, slash);
        const conf::Descriptor opened = open_beneath(base, folder, O_RDONLY | O_DIRECTORY);
        if (!opened || fsync(opened.get()) != 0) {
            return std::unexpected(
                error_of(errno, fmt::format("pool {}: sync folder {}", pool(), folder)));
        }
    }
    return {};
}

ObjectInfo LocalDriver::info_of(std::string_view key, const struct stat& status) const {
    return {.key = std::string(key),
            .size = static_cast<std::uint64_t>(status.st_size),
            .modified_s = status.st_mtim.tv_sec};
}

Result<std::optional<ObjectInfo>> LocalDriver::write_beside(std::string_view key,
                                                            const PutOptions& options,
                                                            const FillFile& fill) const {
    if (auto good = require_servable(key); !good) return std::unexpected(good.error());
    const auto place = place_of(key, true);
    if (!place) return std::unexpected(place.error());
    NewFile file(place->folder.get(), file_mode_);
    if (!file) return failed(errno, "create a file for", key);
    const auto sha256 = fill(file.fd());
    if (!sha256) {
        Error error = sha256.error();
        error.text = fmt::format("pool {}: put {}: {}", pool(), key, error.text);
        return failed(std::move(error), key);
    }
    if (!*sha256) return std::optional<ObjectInfo>();
    if (options.sha256 && *options.sha256 != **sha256) {
        return failed(
            {ErrorKind::corrupt, fmt::format("pool {}: put {}: SHA-256 is {}, not {}", pool(), key,
                                             conf::hex(**sha256), conf::hex(*options.sha256))},
            key);
    }
    if (options.modified_s != 0) {
        const std::array<timespec, 2> times{{{0, UTIME_NOW}, {options.modified_s, 0}}};
        if (futimens(file.fd(), times.data()) != 0) return failed(errno, "set the time of", key);
    }
    fault_point("store.written");
    if (!file.sync() || !file.take_over(place->name) || fsync(place->folder.get()) != 0)
        return failed(errno, "put", key);
    struct stat status{};
    if (fstat(file.fd(), &status) != 0) return failed(errno, "stat", key);
    fault_point("store.named");
    ObjectInfo info = info_of(key, status);
    info.sha256 = **sha256;
    return info;
}

Result<ObjectInfo> LocalDriver::put(std::string_view key, ByteSource& source,
                                    const PutOptions& options) {
    const auto fill = [&](ByteSink& sink) { return pull_all(source, sink); };
    auto info = put_pushed(key, fill, options);
    if (!info) return std::unexpected(info.error());
    return std::move(**info);
}

Result<std::optional<ObjectInfo>> LocalDriver::put_pushed(std::string_view key, const Fill& fill,
                                                          const PutOptions& options) {
    return write_beside(key, options, [&](int fd) -> Result<std::optional<conf::Sha256Digest>> {
        FileSink sink(fd, options.size);
        if (auto filled = fill(sink); !filled) return std::unexpected(filled.error());
        const auto sha256 = sink.finish();
        if (!sha256) return std::unexpected(sha256.error());
        return *sha256;
    });
}

class LocalDriver::Staged final : public StagedFile {
  public:
    Staged(LocalDriver& driver, std::string_view key, Place place)
        : driver_(driver),
          key_(key),
          place_(std::move(place)),
          file_(place_.folder.get(), driver.file_mode_) {}

    explicit operator bool() const { return static_cast<bool>(file_); }
    int fd() const override { return file_.fd(); }

    Result<ObjectInfo> keep(const PutOptions& options) override {
        if (options.modified_s > 0) {
            const timespec time{.tv_sec = options.modified_s, .tv_nsec = 0};
            const std::array times{time, time};
            if (futimens(fd(), times.data()) != 0)
                return driver_.failed(errno, "set the time of", key_);
        }
        if (!file_.sync()) return driver_.failed(errno, "sync", key_);
        fault_point("store.written");
        struct stat status{};
        if (fstat(fd(), &status) != 0) return driver_.failed(errno, "stat", key_);
        if (static_cast<std::uint64_t>(status.st_size) != options.size)
            return driver_.failed({ErrorKind::corrupt, "the file has another size than was said"},
                                  key_);
        if (!file_.take(place_.name)) return driver_.failed(errno, "name", key_);
        if (fsync(place_.folder.get()) != 0)
            return driver_.failed(errno, "sync the folder of", key_);
        fault_point("store.named");
        ObjectInfo info = driver_.info_of(key_, status);
        info.sha256 = options.sha256;
        return info;
    }

  private:
    LocalDriver& driver_;
    const std::string key_;
    Place place_;
    NewFile file_;
};

Result<std::unique_ptr<StagedFile>> LocalDriver::stage(std::string_view key) {
    if (auto good = require_servable(key); !good) return std::unexpected(good.error());
    files_.delay();
    auto place = place_of(key, true);
    if (!place) return std::unexpected(place.error());
    auto staged = std::make_unique<Staged>(*this, key, std::move(*place));
    if (!*staged) return failed(errno, "create a file for", key);
    return staged;
}

Result<ObjectInfo> LocalDriver::get(std::string_view key, const GetRange& range, ByteSink& sink) {
    if (const auto relative = relative_of(key); !relative) return std::unexpected(relative.error());
    const auto file = files_.open(key);
    if (!file) return failed(file.error(), key);
    const OpenFile& opened = **file;
    const std::uint64_t size = opened.identity().size;
    if (range.offset > 0 && range.offset >= size) {
        return failed({ErrorKind::invalid, fmt::format("pool {}: get {}: it ends before {}", pool(),
                                                       key, range.offset)},
                      key);
    }
    std::uint64_t offset = range.offset;
    const std::uint64_t end = offset + std::min(range.length.value_or(size), size - offset);
    std::vector<char> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(kBufferBytes, size)));
    while (offset < end) {
        const auto part = std::span(buffer).first(
            static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), end - offset)));
        if (auto done = opened.read(offset, part); !done) return failed(done.error(), key);
        if (!opened.unchanged()) return rewritten(key);
        if (auto done = sink.write(part); !done) return std::unexpected(done.error());
        offset += part.size();
    }
    return ObjectInfo{
        .key = std::string(key), .size = size, .modified_s = opened.identity().modified_s()};
}

// Opens it with the first read, so that its errors are those of reads.
class LocalDriver::Source final : public ByteSource {
  public:
    Source(LocalDriver& driver, std::string_view key) : driver_(driver), key_(key) {}

    Result<std::size_t> read(std::span<char> into) override {
        if (!file_) {
            if (const auto relative = driver_.relative_of(key_); !relative)
                return std::unexpected(relative.error());
            auto file = driver_.files_.open(key_);
            if (!file) return driver_.failed(file.error(), key_);
            file_ = std::move(*file);
        }
        const std::uint64_t rest = file_->identity().size - offset_;
        into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), rest)));
        if (into.empty()) return 0;
        if (auto done = file_->read(offset_, into); !done)
            return driver_.failed(done.error(), key_);
        if (!file_->unchanged()) return driver_.rewritten(key_);
        offset_ += into.size();
        return into.size();
    }
    Result<void> rewind() override {
        offset_ = 0;
        file_.reset();
        return {};
    }

  private:
    LocalDriver& driver_;
    const std::string key_;
    std::shared_ptr<const OpenFile> file_;
    std::uint64_t offset_ = 0;
};

std::unique_ptr<ByteSource> LocalDriver::source(std::string_view key) {
    return std::make_unique<Source>(*this, key);
}

std::unexpected<Error> LocalDriver::rewritten(std::string_view key) const {
    return failed(
        {ErrorKind::busy, fmt::format("pool {}: get {}: it is being rewritten", pool(), key)}, key);
}

Result<ObjectInfo> LocalDriver::head(std::string_view key) {
    if (const auto relative = relative_of(key); !relative) return std::unexpected(relative.error());
    const auto file = files_.open(key);
    if (!file) return failed(file.error(), key);
    return ObjectInfo{.key = std::string(key),
                      .size = (*file)->identity().size,
                      .modified_s = (*file)->identity().modified_s(),
                      .file = (*file)->identity()};
}

Result<std::vector<ObjectInfo>> LocalDriver::heads(std::span<const std::string> keys) {
    std::vector<ObjectInfo> found;
    std::optional<std::string_view> folder;
    std::optional<Place> place;  // none: there is no such folder
    for (const std::string& key : keys) {
        if (files_.is_marker(key)) continue;
        const std::string_view above = std::string_view(key).substr(0, key.rfind('/') + 1);
        if (folder != above) {
            auto opened = place_of(key, false);
            if (!opened && opened.error().kind != ErrorKind::not_found)
                return std::unexpected(std::move(opened.error()));
            folder = above;
            place.reset();
            if (opened) place.emplace(std::move(*opened));
        }
        struct stat status{};
        const std::string name = key.substr(above.size());
        if (!place) continue;
        if (fstatat(place->folder.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT || errno == ENAMETOOLONG) continue;
            return failed(errno, "stat", key);
        }
        if (S_ISREG(status.st_mode)) {
            found.push_back(info_of(key, status));
            continue;
        }
        // No file: that says what it is.
        auto info = head(key);
        if (!info && info.error().kind == ErrorKind::not_found) continue;
        if (!info) return std::unexpected(std::move(info.error()));
        found.push_back(std::move(*info));
    }
    return found;
}

Result<void> LocalDriver::settle(std::string_view key) {
    const auto relative = relative_of(key);
    if (!relative) return std::unexpected(relative.error());
    const auto file = files_.open(key);
    if (!file) return failed(file.error(), key);
    if (fsync((*file)->fd()) != 0) return failed(errno, "sync", key);
    const auto base = files_.open_base();
    if (!base) return failed(base.error(), key);
    if (auto synced = sync_folders_of(base->get(), *relative); !synced)
        return failed(synced.error(), key);
    return {};
}

Result<void> LocalDriver::remove(std::string_view key) {
    const auto place = place_of(key, false);
    if (!place) {
        if (place.error().kind == ErrorKind::not_found) return {};
        return std::unexpected(place.error());
    }
    struct stat status{};
    const char* name = place->name.c_str();
    if (fstatat(place->folder.get(), name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT || errno == ENAMETOOLONG) return {};
        return failed(errno, "stat", key);
    }
    if (S_ISDIR(status.st_mode)) return {};  // no object has this name
    if (!S_ISREG(status.st_mode)) {
        return failed(
            {ErrorKind::denied, fmt::format("pool {}: remove {}: not a regular file", pool(), key)},
            key);
    }
    if (unlinkat(place->folder.get(), name, 0) != 0 && errno != ENOENT)
        return failed(errno, "remove", key);
    if (fsync(place->folder.get()) != 0) return failed(errno, "sync the folder of", key);
    return {};
}

Result<ListPage> LocalDriver::list(std::string_view prefix, const std::string& next,
                                   std::size_t limit) {
    const std::string& before = files_.key_prefix();
    ListPage page;
    if (!prefix.starts_with(before) && !before.starts_with(prefix)) return page;
    WalkRange range;
    if (prefix.size() > before.size()) range.prefix = prefix.substr(before.size());
    if (next.size() > before.size()) range.after = next.substr(before.size());
    const auto base = files_.open_base();
    if (!base) return failed(base.error(), prefix);
    bool has_more = false;
    const auto visit = [&](int folder, const std::string& path, const std::string& name) {
        const std::string key = before + path;
        if (files_.is_marker(key)) return true;
        if (page.objects.size() == limit) {
            has_more = true;
            return false;
        }
        struct stat status{};
        const bool is_there = fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                              S_ISREG(status.st_mode);
        if (is_there) page.objects.push_back(info_of(key, status));
        return true;
    };
    if (auto walked = walk_files(base->get(), range, is_servable, visit); !walked) {
        Error error = walked.error();
        error.text = fmt::format("pool {}: list {}: {}", pool(), prefix, error.text);
        // A folder that may not be read, or has gone as a whole, is no empty list.
        if (error.kind == ErrorKind::not_found) error.kind = ErrorKind::io;
        return failed(std::move(error), prefix);
    }
    if (has_more) page.next = page.objects.back().key;
    return page;
}

Result<std::optional<ObjectInfo>> LocalDriver::copy_within_store(Driver& from, std::string_view key,
                                                                 std::string_view to_key,
                                                                 const PutOptions& options) {
    auto* other = dynamic_cast<LocalDriver*>(&from);
    if (other == nullptr) return std::optional<ObjectInfo>();
    if (auto good = other->relative_of(key); !good) return std::unexpected(good.error());
    const auto source = other->files_.open(key);
    if (!source) return other->failed(source.error(), key);
    const std::uint64_t size = (*source)->identity().size;
    if (size != options.size) {
        return other->failed(
            {ErrorKind::corrupt, fmt::format("pool {}: copy {}: it has {} bytes, not {}",
                                             other->pool(), key, size, options.size)},
            key);
    }
    return write_beside(to_key, options, [&](int fd) -> Result<std::optional<conf::Sha256Digest>> {
        const auto copied = copy_in_kernel((*source)->fd(), fd, size);
        if (!copied) return std::unexpected(copied.error());
        if (!*copied) return std::nullopt;
        const auto sha256 = hash_of(fd, size);
        if (!sha256) return std::unexpected(sha256.error());
        if (!(*source)->unchanged()) return fail(ErrorKind::busy, "the source is being rewritten");
        return *sha256;
    });
}

Result<Space> LocalDriver::space() {
    files_.delay();
    const auto base = files_.open_base();
    if (!base) return failed(base.error(), "");
    struct statvfs status{};
    if (fstatvfs(base->get(), &status) != 0) return failed(errno, "space of", files_.base_path());
    return Space{.free_bytes = static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize,
                 .total_bytes = static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize};
}

Result<std::vector<std::string>> LocalDriver::check(bool for_writing) {
    if (auto readable = files_.check(); !readable) return failed(readable.error(), "");
    std::vector<std::string> found{files_.base_path() + " is readable"};
    const auto left = space();
    if (left && left->free_bytes)
        found.push_back(fmt::format("{} MiB are free", *left->free_bytes >> 20));
    if (!for_writing) return found;
    const conf::Descriptor base(
        ::open(files_.base_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!base) return failed(errno, "open", files_.base_path());
    NewFile probe(base.get(), file_mode_);
    if (!probe) return failed(errno, "create a file in", files_.base_path());
    if (auto written = write_all(probe.fd(), std::string_view("probe")); !written)
        return failed(written.error(), "");
    if (fsync(probe.fd()) != 0) return failed(errno, "fsync a file in", files_.base_path());
    if (!probe.try_naming()) return failed(errno, "name a file in", files_.base_path());
    found.push_back("a file was written and removed");
    return found;
}

Result<std::size_t> LocalDriver::sweep_temporaries(std::chrono::seconds older_than) {
    const auto strays = sweep_strays(std::time(nullptr) - older_than.count(), false);
    if (!strays) return std::unexpected(strays.error());
    return static_cast<std::size_t>(strays->temporaries);
}

Result<Strays> LocalDriver::sweep_strays(std::int64_t before_s, bool only_count) {
    const auto base = files_.open_base();
    if (!base) return failed(base.error(), "");
    Strays strays;
    const auto visit = [&](int folder, const std::string&, const std::string& name) {
        struct stat status{};
        const bool is_stray = fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                              S_ISREG(status.st_mode) && status.st_mtim.tv_sec <= before_s &&
                              status.st_ctim.tv_sec <= before_s;  // a put sets the other one
        if (is_stray && (only_count || unlinkat(folder, name.c_str(), 0) == 0))
            ++strays.temporaries;
        return true;
    };
    if (auto walked = walk_files(base->get(), {}, is_our_temporary, visit); !walked)
        return failed(walked.error(), "");
    return strays;
}

Result<void> LocalDriver::set_aside(std::string_view key, const ObjectInfo& info,
                                    std::string_view folder) {
    const auto place = place_of(key, false);
    if (!place) {
        if (place.error().kind == ErrorKind::not_found) return {};
        return std::unexpected(place.error());
    }
    const auto base = files_.open_base();
    if (!base) return failed(base.error(), key);
    const std::string target =
        fmt::format(".{}{}", folder, set_aside_name(*relative_of(key), info));
    const std::size_t slash = target.rfind('/');
    const auto made = make_folders(base->get(), target.substr(0, slash));
    if (!made) return failed(made.error(), key);
    // What is there already has the same key, time and size. It stays, and this goes beside it.
    std::string name = target.substr(slash + 1);
    const int from = place->folder.get();
    bool is_done = rename_to_new(from, place->name, made->get(), name);
    for (int i = 1; !is_done && errno == EEXIST && i <= kMostNames; ++i) {
        name = fmt::format("{}.{}", target.substr(slash + 1), i);
        is_done = rename_to_new(from, place->name, made->get(), name);
    }
    if (!is_done && errno == ENOENT) return {};  // somebody removed it
    if (!is_done) return failed(errno, "set aside", key);
    if (fsync(made->get()) != 0 || fsync(place->folder.get()) != 0)
        return failed(errno, "sync the folder of", key);
    return {};
}

}  // namespace tidepool::storage
