// The bytes of uploads that come in pieces (tus 1.0): a file for each, by the upload's id.
#pragma once

#include "conf/descriptor.h"
#include "conf/error.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// One of them, held: no other process or thread has it at the same time. Used by one thread at a
// time; blocks.
class ResumableFile {
  public:
    explicit ResumableFile(conf::Descriptor file = conf::Descriptor()) : file_(std::move(file)) {}
    ~ResumableFile() { let_go(); }
    ResumableFile(ResumableFile&&) = default;
    ResumableFile& operator=(ResumableFile&& other) noexcept;

    explicit operator bool() const { return static_cast<bool>(file_); }
    int fd() const { return file_.get(); }
    Result<std::uint64_t> size() const;
    // At its end. What was written before a failure stays. `capped`: the disk is full.
    Result<void> append(std::span<const char> bytes);
    // The same of all that another file has.
    Result<void> append_all_of(int other);
    // What lies behind goes.
    Result<void> cut(std::uint64_t size);
    // Only after that its size may be told to anybody.
    Result<void> sync();

  private:
    void let_go();

    conf::Descriptor file_;
};

// From `offset` on, as many bytes as there are and `into` holds: fewer only at the file's end.
Result<std::size_t> read_at(int fd, std::uint64_t offset, std::span<char> into);

// The folder of all of them. Any thread; blocks. Ids are 32 hex digits, as new_resumable_id() makes
// them. Besides the kinds that methods name errors are those of the disk.
class ResumableSpool {
  public:
    // A folder "tus" in this one, made when it is first needed.
    explicit ResumableSpool(const std::string& spool_folder) : folder_(spool_folder + "/tus") {}

    // An empty one, whose name is durable.
    Result<void> create(std::string_view id);
    // `busy` while it is held, by whomever; not_found where there is none.
    Result<ResumableFile> open(std::string_view id);
    // What of it is on disk, whoever holds it; not_found where there is none.
    Result<std::uint64_t> durable_size(std::string_view id);
    // A file without a name, for what must be looked at before it is appended.
    Result<ResumableFile> unnamed();
    // What is not there is removed already. Whoever holds it keeps his descriptor.
    Result<void> remove(std::string_view id);
    // Ids of files that nobody has written to since then.
    Result<std::vector<std::string>> untouched_since(std::int64_t before_s);

  private:
    std::string path_of(std::string_view id) const;
    Result<conf::Descriptor> make(const std::string& path, int flags);

    const std::string folder_;
};

std::string new_resumable_id();
bool is_resumable_id(std::string_view text);

}  // namespace tidepool::storage
