#include "storage/local_walk.h"

#include "storage/beneath.h"
#include "storage/key.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

namespace tidepool::storage {

namespace {

struct CloseFolder {
    void operator()(DIR* folder) const { closedir(folder); }
};

class Walk {
  public:
    Walk(const WalkRange& range, const std::function<bool(std::string_view)>& wanted,
         const WalkVisitor& visit)
        : range_(range), wanted_(wanted), visit_(visit) {}

    // `path` is "" or ends with a slash.
    Result<void> enter(conf::Descriptor folder, const std::string& path) {
        const int fd = folder.get();
        const std::unique_ptr<DIR, CloseFolder> stream(fdopendir(folder.release()));
        if (!stream) return fail_errno(errno, "read folder " + path);
        auto names = read(*stream, path);
        if (!names) return std::unexpected(names.error());
        for (const std::string& name : *names) {
            if (done_) break;
            if (!name.ends_with('/')) {
                done_ = !visit_(fd, path + name, name);
            } else if (auto entered = descend(fd, path + name, name); !entered) {
                return entered;
            }
        }
        return {};
    }

  private:
    // The names that can matter, sorted as their paths are: a folder as if it were "name/".
    Result<std::vector<std::string>> read(DIR& stream, const std::string& path) const {
        std::vector<std::string> names;
        while (true) {
            errno = 0;
            // This stream is ours alone. NOLINTNEXTLINE(concurrency-mt-unsafe)
            const dirent* entry = readdir(&stream);
            if (entry == nullptr) break;
            std::string name = entry->d_name;
            const unsigned char type = type_of(dirfd(&stream), *entry);
            if (type == DT_DIR && !is_skipped_folder(path, name)) {
                name.push_back('/');
                if (may_hold(path + name)) names.push_back(std::move(name));
            } else if (type == DT_REG && wanted_(name) && is_in_range(path + name)) {
                names.push_back(std::move(name));
            }
        }
        if (errno != 0) return fail_errno(errno, "read folder " + path);
        std::ranges::sort(names);
        return names;
    }

    static unsigned char type_of(int folder, const dirent& entry) {
        if (entry.d_type != DT_UNKNOWN) return entry.d_type;
        struct stat status{};
        if (fstatat(folder, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) return DT_UNKNOWN;
        return static_cast<unsigned char>(IFTODT(status.st_mode));
    }

    // ext4's own folder in the root of a file system is for root alone.
    static bool is_skipped_folder(const std::string& path, const std::string& name) {
        return name.front() == '.' || (path.empty() && name == "lost+found");
    }

    bool is_in_range(const std::string& path) const {
        return path.size() <= kMaxKeyBytes && path.starts_with(range_.prefix) &&
               path > range_.after;
    }

    // False where no path below `folder` can be in the range.
    bool may_hold(const std::string& folder) const {
        const bool is_on_way =
            folder.starts_with(range_.prefix) || range_.prefix.starts_with(folder);
        const bool is_ahead = folder > range_.after || range_.after.starts_with(folder);
        return is_on_way && is_ahead && folder.size() < kMaxKeyBytes;
    }

    Result<void> descend(int parent, const std::string& path, const std::string& name) {
        conf::Descriptor folder =
            open_beneath(parent, name.substr(0, name.size() - 1), O_RDONLY | O_DIRECTORY);
        if (folder) return enter(std::move(folder), path);
        // Removed, or replaced by a link or a file, since it was read.
        if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return {};
        return open_failed(errno, "open folder " + path);
    }

    const WalkRange& range_;
    const std::function<bool(std::string_view)>& wanted_;
    const WalkVisitor& visit_;
    bool done_ = false;
};

}  // namespace

Result<void> walk_files(int base, const WalkRange& range,
                        const std::function<bool(std::string_view name)>& wanted,
                        const WalkVisitor& visit) {
    conf::Descriptor folder = open_beneath(base, ".", O_RDONLY | O_DIRECTORY);
    if (!folder) return open_failed(errno, "open the base path");
    return Walk(range, wanted, visit).enter(std::move(folder), "");
}

}  // namespace tidepool::storage
