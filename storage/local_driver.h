// The driver of local and NFS pools.
#pragma once

#include "conf/settings.h"
#include "storage/beneath.h"
#include "storage/driver.h"
#include "storage/local_pool.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <sys/types.h>

struct stat;

namespace tidepool::storage {

// Writes beside and renames, so that a reader sees the old file or the new one, whole. Every open
// is beneath the base path. Where the pool's marker is not there, every call fails with
// ErrorKind::io, but a read of a file that is. Any thread.
class LocalDriver final : public Driver {
  public:
    // `key_prefix` is what keys have in front of their place below the base path ("uploads/").
    LocalDriver(const conf::PoolSettings& settings, std::string key_prefix);

    const std::string& pool() const override { return files_.name(); }

    // A key that would never be served (hidden, temporary, "..") is ErrorKind::invalid; a full disk
    // is capped; a folder in the file's place, or a file in a folder's, is conflict.
    Result<ObjectInfo> put(std::string_view key, ByteSource& source,
                           const PutOptions& options) override;
    Result<std::optional<ObjectInfo>> put_pushed(std::string_view key, const Fill& fill,
                                                 const PutOptions& options) override;
    // The SHA-256 of what is kept is not computed here: who wrote it has it.
    Result<std::unique_ptr<StagedFile>> stage(std::string_view key) override;
    // A file that is rewritten in place meanwhile is ErrorKind::busy.
    Result<ObjectInfo> get(std::string_view key, const GetRange& range, ByteSink& sink) override;
    std::unique_ptr<ByteSource> source(std::string_view key) override;
    Result<ObjectInfo> head(std::string_view key) override;
    // Keys of one folder behind each other are looked for in it at once.
    Result<std::vector<ObjectInfo>> heads(std::span<const std::string> keys) override;
    // Syncs the file, its folder, and every folder above that one up to the base path.
    Result<void> settle(std::string_view key) override;
    // Folders that become empty stay: removing them would race with those who write into them.
    Result<void> remove(std::string_view key) override;
    // Costs a reading of each folder on the way to the page, so folders of a million files are
    // slow. Links, hidden and temporary files are left out.
    Result<ListPage> list(std::string_view prefix, const std::string& next,
                          std::size_t limit) override;
    // Where both are local and the kernel can copy between them: shared extents, or by the server.
    Result<std::optional<ObjectInfo>> copy_within_store(Driver& from, std::string_view key,
                                                        std::string_view to_key,
                                                        const PutOptions& options) override;
    Result<Space> space() override;
    Result<std::vector<std::string>> check(bool for_writing) override;

    // Removes what interrupted puts left: our own temporary names, untouched for `older_than`.
    // Returns how many there were.
    Result<std::size_t> sweep_temporaries(std::chrono::seconds older_than);
    // The same, as temporaries.
    Result<Strays> sweep_strays(std::int64_t before_s, bool only_count) override;

    // By renaming, into a folder that is hidden: "quarantine/" is ".quarantine" below the base
    // path, which nothing serves, lists or enters.
    Result<void> set_aside(std::string_view key, const ObjectInfo& info,
                           std::string_view folder) override;

  private:
    class Source;
    class Staged;
    struct Place;
    // Fills the new file and returns its SHA-256; nothing where it cannot be filled in this way.
    using FillFile = std::function<Result<std::optional<conf::Sha256Digest>>(int fd)>;

    Result<std::string> relative_of(std::string_view key) const;
    Result<void> require_servable(std::string_view key) const;
    Result<Place> place_of(std::string_view key, bool make_folders) const;
    Result<conf::Descriptor> make_folders(int base, const std::string& folder) const;
    Result<void> sync_folders_of(int base, const std::string& relative) const;
    Result<std::optional<ObjectInfo>> write_beside(std::string_view key, const PutOptions& options,
                                                   const FillFile& fill) const;
    ObjectInfo info_of(std::string_view key, const struct stat& status) const;
    std::unexpected<Error> failed(Error error, std::string_view key) const;
    std::unexpected<Error> rewritten(std::string_view key) const;
    std::unexpected<Error> failed(int error_number, std::string_view what,
                                  std::string_view key) const;

    LocalPool files_;
    const mode_t file_mode_;  // of what is made, whatever the umask is
    const mode_t folder_mode_;
};

}  // namespace tidepool::storage
