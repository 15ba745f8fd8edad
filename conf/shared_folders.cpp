#include "conf/shared_folders.h"

#include "conf/descriptor.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace tidepool::conf {

namespace {

constexpr std::chrono::seconds kPatience{1};
constexpr std::size_t kMostFolders = 4096;

// A folder and those that it is in, to the root: their numbers on their disks. Empty where that
// cannot be seen.
using FolderChain = std::vector<std::pair<dev_t, ino_t>>;

FolderChain look_up(const std::string& path) {
    FolderChain chain;
    Descriptor at(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    while (at && chain.size() < kMostFolders) {
        struct stat status{};
        if (fstat(at.get(), &status) != 0) return {};
        const std::pair<dev_t, ino_t> folder(status.st_dev, status.st_ino);
        if (!chain.empty() && chain.back() == folder) return chain;  // the root is its own parent
        chain.push_back(folder);
        at = Descriptor(openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    return chain;
}

// Each path is looked at by a thread of its own, as a disk may hang: who waits for it goes on, and
// no second thread is sent after one that has not come back.
class FolderLook {
  public:
    std::map<std::string, FolderChain> look(const std::vector<std::string>& paths) {
        const auto until = std::chrono::steady_clock::now() + kPatience;
        std::unique_lock lock(mutex_);
        std::map<std::string, std::shared_ptr<Look>> looks;
        for (const std::string& path : paths)
            looks[path] = begin(path);
        done_.wait_until(lock, until, [&] {
            return std::ranges::all_of(looks,
                                       [](const auto& each) { return each.second->is_done; });
        });
        std::map<std::string, FolderChain> found;
        for (const auto& [path, look] : looks)
            found[path] = look->chain;
        return found;
    }

    // Never destroyed, as a thread may come back to it at any time.
    static FolderLook& instance() {
        static FolderLook& all = *new FolderLook;
        return all;
    }

  private:
    struct Look {
        bool is_done = false;
        FolderChain chain{};
    };

    std::shared_ptr<Look> begin(const std::string& path) {
        std::shared_ptr<Look>& look = running_[path];
        if (look) return look;
        look = std::make_shared<Look>();
        std::thread([this, path] {
            FolderChain chain = look_up(path);
            const std::lock_guard lock(mutex_);
            const auto mine = running_.find(path);
            mine->second->chain = std::move(chain);
            mine->second->is_done = true;
            running_.erase(mine);
            done_.notify_all();
        }).detach();
        return look;
    }

    std::mutex mutex_;
    std::condition_variable done_;
    std::map<std::string, std::shared_ptr<Look>> running_;
};

bool is_below(const FolderChain& folder, const FolderChain& other) {
    return std::ranges::find(folder, other.front()) != folder.end();
}

}  // namespace

Findings find_shared_folders(const Settings& settings) {
    Findings findings;
    const auto& pools = settings.pools;
    std::vector<std::string> paths;
    for (const PoolSettings& pool : pools) {
        if (!pool.base_path.empty()) paths.push_back(pool.base_path);
    }
    if (paths.size() < 2) return findings;
    std::map<std::string, FolderChain> found = FolderLook::instance().look(paths);
    for (std::size_t second = 1; second < pools.size(); ++second) {
        for (std::size_t first = 0; first < second; ++first) {
            const FolderChain& mine = found[pools[second].base_path];
            const FolderChain& theirs = found[pools[first].base_path];
            if (mine.empty() || theirs.empty()) continue;
            const auto relation = mine == theirs           ? "is by another name the folder of"
                                  : is_below(mine, theirs) ? "leads into the folder of"
                                  : is_below(theirs, mine) ? "by another name holds the folder of"
                                                           : nullptr;
            if (!relation) continue;
            findings.push_back({{fmt::format("pool[{}].base_path", second + 1),
                                 fmt::format("pool[{}].base_path", first + 1)},
                                fmt::format("{} {} pool \"{}\" ({}): a file must have one home",
                                            pools[second].base_path, relation, pools[first].name,
                                            pools[first].base_path)});
        }
    }
    return findings;
}

}  // namespace tidepool::conf
