#include "storage/shelf.h"

#include "conf/descriptor.h"
#include "conf/digest.h"
#include "conf/log.h"
#include "conf/small_file.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace tidepool::storage {

namespace {

namespace fs = std::filesystem;

// The part for what was wanted more than once takes at most so much of the shelf.
constexpr std::uint64_t kAgainShare = 80;  // percent
// An access time is written at most this often: it only has to tell old from new after a restart.
constexpr std::int64_t kTouchEveryS = 600;
// Names of what is being filled: PID-NUMBER.part, in the folder "partial".
constexpr std::string_view kPartial = "partial";
constexpr std::string_view kInUse = "in-use";
// What is read at once to prove something.
constexpr std::uint64_t kProofBytes = 256ULL * 1024;

std::int64_t wall_clock_s() {
    return std::time(nullptr);
}

std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

// Access time without the modification time, which answers that are being sent watch.
void set_access_time(int fd, std::int64_t at_s) {
    const timespec times[2] = {{.tv_sec = at_s, .tv_nsec = 0},
                               {.tv_sec = 0, .tv_nsec = UTIME_OMIT}};
    futimens(fd, times);  // only an order of eviction is lost where it fails
}

// What there is to list: a folder that is gone or cannot be read to its end is no reason to stop.
std::vector<fs::path> files_in(const fs::path& folder) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator file(folder, error), end; !error && file != end;
         file.increment(error))
        files.push_back(file->path());
    return files;
}

bool is_alive(pid_t pid) {
    return kill(pid, 0) == 0 || errno == EPERM;
}

}  // namespace

// ---- names

ShelfName::ShelfName(std::string_view pool, std::string_view key, std::string_view version,
                     std::optional<std::uint64_t> slice, std::uint64_t bytes)
    : id_{} {
    conf::Sha256 sha256;
    for (const std::string_view part : {pool, key, version}) {
        sha256.update(part);
        sha256.update(std::string_view("\0", 1));
    }
    const conf::Sha256Digest digest = sha256.finish();
    for (std::size_t i = 0; i < 16; ++i)
        id_[i / 8] = id_[i / 8] << 8 | digest[i];
    id_[2] = slice ? *slice + 1 : 0;
    id_[3] = bytes;
}

std::string ShelfName::file_name() const {
    return fmt::format("{:02x}/{:016x}{:016x}-{:x}-{:x}", id_[0] >> 56, id_[0], id_[1], id_[2],
                       id_[3]);
}

// The name without its folder.
std::optional<ShelfName> ShelfName::parse(std::string_view file_name) {
    constexpr std::size_t kHalf = 16;
    Id id{};
    const auto read = [](std::string_view text, std::uint64_t& into) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into, 16);
        return error == std::errc() && end == text.data() + text.size() && !text.empty();
    };
    if (file_name.size() < 2 * kHalf + 4 || file_name[2 * kHalf] != '-') return std::nullopt;
    const std::string_view rest = file_name.substr(2 * kHalf + 1);
    const std::size_t dash = rest.find('-');
    if (dash == rest.npos || !read(file_name.substr(0, kHalf), id[0]) ||
        !read(file_name.substr(kHalf, kHalf), id[1]) || !read(rest.substr(0, dash), id[2]) ||
        !read(rest.substr(dash + 1), id[3]))
        return std::nullopt;
    return ShelfName(id);
}

// ---- opening

Result<std::unique_ptr<Shelf>> Shelf::open(const conf::ShelfSettings& settings) {
    std::unique_ptr<Shelf> shelf(new Shelf(settings));
    std::error_code error;
    fs::create_directories(fs::path(settings.path) / kPartial, error);
    if (error) return fail_errno(error.value(), "shelf.path " + settings.path);

    const fs::path in_use = fs::path(settings.path) / kInUse;
    const auto last_use = conf::read_small_file(in_use, 4096);
    // Left behind by a process that did not end well. Where the machine did not end with it, what
    // was written is still whole.
    const bool after_crash = last_use && !last_use->starts_with(boot_id());
    std::ofstream mark(in_use, std::ios::trunc);
    mark << boot_id() << ' ' << getpid() << '\n';
    mark.close();
    if (!mark)
        return fail(ErrorKind::io, fmt::format("shelf.path {}: cannot be written", settings.path));
    shelf->clean_up(after_crash);
    return shelf;
}

Shelf::~Shelf() {
    const fs::path in_use = fs::path(settings_.path) / kInUse;
    const auto mark = conf::read_small_file(in_use, 4096);
    const bool is_mine = mark && *mark == fmt::format("{} {}\n", boot_id(), getpid());
    std::error_code ignored;  // then the next start takes it for a crash, which costs slices
    if (is_mine) fs::remove(in_use, ignored);
}

void Shelf::clean_up(bool after_crash) {
    std::error_code ignored;  // what cannot be removed is met again when it is used
    for (const fs::path& file : files_in(fs::path(settings_.path) / kPartial)) {
        const std::string name = file.filename();
        pid_t pid = 0;
        std::from_chars(name.data(), name.data() + name.size(), pid);
        if (pid == getpid() || pid <= 0 || !is_alive(pid)) fs::remove(file, ignored);
    }
    if (!after_crash) return;
    std::uint64_t removed = 0;
    for (unsigned i = 0; i < 256; ++i) {
        const fs::path folder = fs::path(settings_.path) / fmt::format("{:02x}", i);
        for (const fs::path& file : files_in(folder)) {
            const auto name = ShelfName::parse(file.filename().string());
            if (name && name->id_[2] != 0 && fs::remove(file, ignored)) ++removed;
        }
    }
    conf::log_warn("the machine did not end well: slices are taken off the shelf count={}",
                   removed);
}

struct Shelf::Found {
    ShelfName name;
    std::int64_t used_s;
    Part part;
};

void Shelf::scan() {
    std::vector<Found> all;
    for (unsigned i = 0; i < 256; ++i) {
        if (stopping_.load(std::memory_order_relaxed)) return;
        list_folder(fmt::format("{}/{:02x}", settings_.path, i), all);
    }
    // What is known already was used since the start, so that all the rest is older.
    std::ranges::sort(all, std::ranges::greater(), &Found::used_s);
    for (const Found& found : all) {
        const std::lock_guard lock(mutex_);
        const auto [place, is_new] = index_.try_emplace(found.name.id_);
        if (!is_new) continue;
        place->second.touched_s = found.used_s;
        link_oldest(*place, found.part);
    }
    {
        const std::lock_guard lock(mutex_);
        scanned_ = true;
    }
    // What is over the limit, as after that was lowered, goes now that everything is known.
    if (const auto room = make_room(0); !room)
        conf::log_warn("the shelf cannot be kept below its limits reason=\"{}\"",
                       room.error().text);
}

void Shelf::list_folder(const std::string& folder, std::vector<Found>& into) const {
    for (const fs::path& file : files_in(folder)) {
        const auto name = ShelfName::parse(file.filename().string());
        struct stat status{};
        const bool is_ours = name && path_of(*name) == file && lstat(file.c_str(), &status) == 0 &&
                             S_ISREG(status.st_mode);
        if (!is_ours) continue;
        if (static_cast<std::uint64_t>(status.st_size) != name->file_bytes()) {
            ::unlink(file.c_str());
            continue;
        }
        into.push_back({*name, status.st_atime, status.st_atime > status.st_mtime ? again : once});
    }
}

// ---- the order of use; the lock is held

void Shelf::link_newest(Node& node, Part part) {
    Order& order = orders_[part];
    node.second.part = part;
    node.second.older = order.newest;
    node.second.newer = nullptr;
    (order.newest != nullptr ? order.newest->second.newer : order.oldest) = &node;
    order.newest = &node;
    order.bytes += bytes_of(node);
}

void Shelf::link_oldest(Node& node, Part part) {
    Order& order = orders_[part];
    node.second.part = part;
    node.second.newer = order.oldest;
    node.second.older = nullptr;
    (order.oldest != nullptr ? order.oldest->second.older : order.newest) = &node;
    order.oldest = &node;
    order.bytes += bytes_of(node);
}

void Shelf::unlink(Node& node) {
    Order& order = orders_[node.second.part];
    Entry& entry = node.second;
    (entry.newer != nullptr ? entry.newer->second.older : order.newest) = entry.older;
    (entry.older != nullptr ? entry.older->second.newer : order.oldest) = entry.newer;
    order.bytes -= bytes_of(node);
}

void Shelf::use(Node& node) {
    unlink(node);
    link_newest(node, again);
    Order& kept = orders_[again];
    while (kept.bytes > settings_.size_bytes / 100 * kAgainShare && kept.oldest != &node) {
        Node& oldest = *kept.oldest;
        unlink(oldest);
        link_newest(oldest, once);
    }
}

// As wanted once.
Shelf::Node& Shelf::add(const ShelfName& name, std::int64_t used_s) {
    const auto [place, is_new] = index_.try_emplace(name.id_);
    if (!is_new) unlink(*place);
    place->second.touched_s = used_s;
    place->second.proved_ns = Entry::kNotProved;
    link_newest(*place, once);
    return *place;
}

void Shelf::forget(const ShelfName& name) {
    const auto found = index_.find(name.id_);
    if (found == index_.end()) return;
    unlink(*found);
    index_.erase(found);
}

// ---- using

std::string Shelf::path_of(const ShelfName& name) const {
    return settings_.path + '/' + name.file_name();
}

bool Shelf::holds(const ShelfName& name) const {
    const std::lock_guard lock(mutex_);
    return index_.contains(name.id_);
}

Result<std::shared_ptr<OpenFile>> Shelf::find(const ShelfName& name) {
    const std::string path = path_of(name);
    // Our own reading must not look like a use of whoever wrote it.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOATIME);
    const int error = errno;
    struct stat status{};
    const bool is_whole = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                          static_cast<std::uint64_t>(status.st_size) == name.file_bytes();
    const std::int64_t now_s = wall_clock_s();
    const FileIdentity identity = FileIdentity::of(status);
    bool touch = false;
    bool is_proved = false;
    {
        const std::lock_guard lock(mutex_);
        if (is_whole) {
            const auto known = index_.find(name.id_);
            // Not known: the scan has not come to it yet.
            Node& node = known != index_.end() ? *known : add(name, status.st_atime);
            use(node);
            touch = now_s - node.second.touched_s >= kTouchEveryS ||
                    node.second.touched_s <= status.st_mtime;
            if (touch) node.second.touched_s = now_s;
            is_proved = node.second.proved_ns == identity.modified_ns;
        } else if (fd >= 0 || error == ENOENT) {
            forget(name);  // otherwise it is still there, as where descriptors have run out
        }
    }
    if (fd < 0) return fail_errno(error, "shelf " + path);
    if (!is_whole) {
        close(fd);
        ::unlink(path.c_str());
        return fail(ErrorKind::not_found, "shelf " + path + ": cut short");
    }
    // Later than it was written is what tells the two parts apart after a restart.
    if (touch) set_access_time(fd, std::max<std::int64_t>(now_s, status.st_mtime + 1));
    auto file = std::make_shared<OpenFile>(fd, identity, 0);
    if (is_proved) return file;
    auto proved = prove(*file, name);
    if (!proved) {
        drop(name);
        return std::unexpected(std::move(proved.error()));
    }
    const std::lock_guard lock(mutex_);
    const auto known = index_.find(name.id_);
    if (known != index_.end()) known->second.proved_ns = identity.modified_ns;
    return file;
}

Result<conf::Sha256Digest> Shelf::digest_of(const OpenFile& file, const ShelfName& name) {
    conf::Sha256Digest digest{};
    const std::span<char> stored(reinterpret_cast<char*>(digest.data()), digest.size());
    if (auto read = file.read(name.bytes(), stored); !read)
        return std::unexpected(std::move(read.error()));
    return digest;
}

Result<void> Shelf::prove(const OpenFile& file, const ShelfName& name) {
    conf::Sha256 sha256;
    std::string chunk(std::min<std::uint64_t>(name.bytes(), kProofBytes), '\0');
    for (std::uint64_t offset = 0; offset < name.bytes(); offset += chunk.size()) {
        if (name.bytes() - offset < chunk.size()) chunk.resize(name.bytes() - offset);
        if (auto read = file.read(offset, chunk); !read) return read;
        sha256.update(chunk);
    }
    const auto digest = digest_of(file, name);
    if (!digest) return std::unexpected(digest.error());
    if (sha256.finish() == *digest) return {};
    conf::log_error("a file on the shelf was damaged and is taken off name={}", name.file_name());
    return fail(ErrorKind::corrupt, "shelf " + path_of(name) + ": damaged");
}

void Shelf::drop(const ShelfName& name) {
    {
        const std::lock_guard lock(mutex_);
        forget(name);
    }
    ::unlink(path_of(name).c_str());
}

bool Shelf::disk_has_room(std::uint64_t bytes) const {
    struct statvfs space{};
    if (statvfs(settings_.path.c_str(), &space) != 0) return errno == ENOENT;  // made anew
    return space.f_bavail * space.f_frsize >= bytes + settings_.min_free_bytes;
}

// Takes the room for something that is being filled, evicting for it what is needed.
Result<void> Shelf::make_room(std::uint64_t bytes) {
    if (bytes > settings_.size_bytes / 4)
        return fail(ErrorKind::overloaded, "it is larger than a quarter of shelf.size");
    while (true) {
        const bool disk_is_full = !disk_has_room(bytes);
        std::vector<std::string> victims;
        {
            const std::lock_guard lock(mutex_);
            if (filling_bytes_ + bytes > settings_.size_bytes)
                return fail(ErrorKind::overloaded, "the shelf is full of what is being fetched");
            std::uint64_t freed = 0;
            while (used_bytes() + bytes > settings_.size_bytes || (disk_is_full && freed < bytes)) {
                const Node* victim =
                    orders_[once].oldest != nullptr ? orders_[once].oldest : orders_[again].oldest;
                if (victim == nullptr) break;
                const ShelfName name(victim->first);
                freed += name.bytes();
                ++evictions_;
                evicted_bytes_ += name.bytes();
                victims.push_back(path_of(name));
                forget(name);
            }
            if (!disk_is_full) filling_bytes_ += bytes;
        }
        for (const std::string& path : victims)
            ::unlink(path.c_str());
        if (!disk_is_full) return {};
        if (victims.empty()) return fail(ErrorKind::overloaded, "the disk of the shelf is full");
    }
}

void Shelf::release(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    filling_bytes_ -= bytes;
}

Shelf::Usage Shelf::usage() const {
    const std::lock_guard lock(mutex_);
    return {.bytes = used_bytes(),
            .entries = index_.size(),
            .evictions = evictions_,
            .evicted_bytes = evicted_bytes_,
            .scanned = scanned_};
}

// ---- filling

Result<std::unique_ptr<Shelf::Filling>> Shelf::begin(const ShelfName& name) {
    if (auto room = make_room(name.bytes()); !room) return std::unexpected(std::move(room.error()));
    std::string path;
    {
        const std::lock_guard lock(mutex_);
        path = fmt::format("{}/{}/{}-{}.part", settings_.path, kPartial, getpid(), ++next_filling_);
    }
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOATIME;
    int fd = ::open(path.c_str(), flags, 0640);
    if (fd < 0 && errno == ENOENT) {  // somebody emptied the shelf, folders and all
        std::error_code ignored;      // then the second open fails as well
        fs::create_directories(fs::path(path).parent_path(), ignored);
        fd = ::open(path.c_str(), flags, 0640);
    }
    struct stat status{};
    if (fd < 0 || fstat(fd, &status) != 0) {
        const int error = errno;
        if (fd >= 0) close(fd);
        release(name.bytes());
        return fail_errno(error, "shelf " + path);
    }
    FileIdentity identity = FileIdentity::of(status);
    identity.size = name.bytes();
    auto file = std::make_shared<OpenFile>(fd, identity, 0);
    return std::unique_ptr<Filling>(new Filling(*this, name, std::move(path), std::move(file), fd));
}

Shelf::Filling::Filling(Shelf& shelf, const ShelfName& name, std::string path,
                        std::shared_ptr<OpenFile> file, int fd)
    : shelf_(shelf), name_(name), path_(std::move(path)), file_(std::move(file)), fd_(fd) {
    if (name_.is_slice()) sha256_.emplace();
}

Shelf::Filling::~Filling() {
    if (path_.empty()) return;
    shelf_.release(name_.bytes());
    ::unlink(path_.c_str());
}

Result<void> Shelf::Filling::append(std::span<const char> bytes) {
    if (sha256_) sha256_->update(bytes);
    return write(bytes);
}

Result<void> Shelf::Filling::write(std::span<const char> bytes) {
    const int failed = conf::write_all(fd_, bytes);
    if (failed == ENOSPC || failed == EDQUOT)
        return fail(ErrorKind::overloaded, "the disk of the shelf is full");
    if (failed != 0) return fail_errno(failed, "shelf " + path_);
    written_ += bytes.size();
    return {};
}

Result<void> Shelf::Filling::commit(const std::optional<conf::Sha256Digest>& sha256) {
    if (written_ != name_.bytes())
        return fail(ErrorKind::invalid,
                    fmt::format("shelf: {} of {} bytes", written_, name_.bytes()));
    const std::optional<conf::Sha256Digest> digest = sha256_ ? sha256_->finish() : sha256;
    sha256_.reset();
    if (!digest) return fail(ErrorKind::invalid, "shelf: nobody knows its SHA-256");
    if (auto put = write({reinterpret_cast<const char*>(digest->data()), digest->size()}); !put)
        return put;
    struct stat status{};
    const bool is_known = fstat(fd_, &status) == 0;
    // Used and written at the same time: not wanted again yet.
    if (is_known) set_access_time(fd_, status.st_mtime);
    const std::string path = shelf_.path_of(name_);
    int renamed = rename(path_.c_str(), path.c_str());
    if (renamed != 0 && errno == ENOENT) {  // the first in its folder
        std::error_code ignored;            // then the second rename fails as well
        fs::create_directory(fs::path(path).parent_path(), ignored);
        renamed = rename(path_.c_str(), path.c_str());
    }
    if (renamed != 0) return fail_errno(errno, "shelf " + path_);
    path_.clear();
    const std::lock_guard lock(shelf_.mutex_);
    shelf_.filling_bytes_ -= name_.bytes();
    Node& node = shelf_.add(name_, wall_clock_s());
    // What was written is what was hashed. Where fstat() failed it is proved when it is found.
    if (is_known) node.second.proved_ns = FileIdentity::of(status).modified_ns;
    return {};
}

}  // namespace tidepool::storage
