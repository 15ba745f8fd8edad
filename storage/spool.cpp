#include "storage/spool.h"

#include "conf/descriptor.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace tidepool::storage {

namespace {

constexpr mode_t kSpoolMode = 0600;

// Reads a file by its descriptor, from its beginning.
class DescriptorSource final : public ByteSource {
  public:
    explicit DescriptorSource(int fd) : fd_(fd) {}
    Result<std::size_t> read(std::span<char> into) override {
        while (true) {
            const ssize_t got = pread(fd_, into.data(), into.size(), offset_);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return fail_errno(errno, "read the spooled upload");
            offset_ += got;
            return static_cast<std::size_t>(got);
        }
    }
    Result<void> rewind() override {
        offset_ = 0;
        return {};
    }

  private:
    int fd_;
    off_t offset_ = 0;
};

class Spooled final : public StagedFile {
  public:
    Spooled(std::shared_ptr<Driver> driver, std::string_view key, conf::Descriptor file)
        : driver_(std::move(driver)), key_(key), file_(std::move(file)) {}
    int fd() const override { return file_.get(); }
    Result<ObjectInfo> keep(const PutOptions& options) override {
        DescriptorSource source(file_.get());
        return driver_->put(key_, source, options);
    }

  private:
    std::shared_ptr<Driver> driver_;
    const std::string key_;
    conf::Descriptor file_;
};

}  // namespace

Result<conf::Descriptor> create_in_spool(const std::string& folder,
                                         const std::function<conf::Descriptor()>& create) {
    conf::Descriptor file = create();
    if (!file && errno == ENOENT) {
        std::error_code error;
        std::filesystem::create_directories(folder, error);
        if (error)
            return fail_errno(error.value(),
                              fmt::format("make the folder {} (upload.spool_path)", folder));
        file = create();
    }
    if (!file)
        return fail_errno(errno, fmt::format("create a file in {} (upload.spool_path)", folder));
    return file;
}

Result<std::unique_ptr<StagedFile>> Spool::stage(std::shared_ptr<Driver> driver,
                                                 std::string_view key) {
    auto staged = driver->stage(key);
    if (!staged || *staged) return staged;
    return hold(std::move(driver), key);
}

Result<std::uint64_t> Spool::free_bytes() const {
    struct statvfs status{};
    int failed = statvfs(folder_.c_str(), &status) == 0 ? 0 : errno;
    if (failed == ENOENT) {
        std::error_code error;
        std::filesystem::create_directories(folder_, error);
        failed = error ? error.value() : statvfs(folder_.c_str(), &status) == 0 ? 0 : errno;
    }
    if (failed != 0)
        return fail_errno(failed, fmt::format("space of {} (upload.spool_path)", folder_));
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

Result<conf::Descriptor> Spool::create() {
    return create_in_spool(folder_, [this] {
        return conf::Descriptor(open(folder_.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, kSpoolMode));
    });
}

Result<std::unique_ptr<StagedFile>> Spool::hold(std::shared_ptr<Driver> driver,
                                                std::string_view key) {
    auto file = create();
    if (!file) return std::unexpected(std::move(file.error()));
    return std::make_unique<Spooled>(std::move(driver), key, std::move(*file));
}

}  // namespace tidepool::storage
