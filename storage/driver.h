// What every kind of pool can do with its objects. Blocking calls, made on worker threads.
#pragma once

#include "conf/digest.h"
#include "conf/error.h"
#include "storage/open_file.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// One stored object, as its store describes it.
struct ObjectInfo {
    std::string key{};
    std::uint64_t size = 0;
    std::int64_t modified_s = 0;  // seconds since 1970; 0 where the store does not say
    std::string etag{};           // the store's own, without quotes; "" where it has none
    std::string version_id{};     // "" where the store keeps no versions
    std::string content_type{};   // "" where the store does not say, as in listings
    std::optional<conf::Sha256Digest> sha256{};  // where it was stored with the object
    std::optional<FileIdentity> file{};  // of one on a disk, where it was looked at by head()
};

// Whether both are the very same stored object, seen by way of two pools, and not one and a copy of
// it: the same file, or the same version of a bucket's. Where a bucket keeps no versions, an object
// of the same content and time counts as the same one.
bool is_same_object(const ObjectInfo& one, const ObjectInfo& other);

// Content that is pulled, from its start and, for a retry, once more.
class ByteSource {
  public:
    virtual ~ByteSource() = default;
    // Fills the front of `into`; 0 is the end. Errors are those of whatever it reads.
    virtual Result<std::size_t> read(std::span<char> into) = 0;
    // Begins again at the start.
    virtual Result<void> rewind() = 0;
};

// Content that is pushed.
class ByteSink {
  public:
    virtual ~ByteSink() = default;
    // Takes all of it. A failure ends the transfer and is its result.
    virtual Result<void> write(std::span<const char> bytes) = 0;
};

struct PutOptions {
    std::uint64_t size = 0;  // of the source, exactly; another length is ErrorKind::corrupt
    std::optional<conf::Sha256Digest> sha256{};  // computed on the way where it is not known; where
                                                 // it is and differs: corrupt, nothing stored
    std::string content_type = "application/octet-stream";
    std::string cache_control{};  // "" = the store's default, which for B2 forbids caching
    std::int64_t modified_s = 0;  // of the object; kept where the store keeps such times. 0 = now
};

// Part of an object; `length` nothing = to its end.
struct GetRange {
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> length{};
};

struct ListPage {
    std::vector<ObjectInfo> objects{};  // by key, in the order of its bytes
    std::string next{};                 // pass it to go on; "" = that was all
};

// One of the versions that a store keeps of an object.
struct StoredVersion {
    std::string key{};
    std::string version_id{};
    bool is_marker = false;  // it says that the object was removed, and has no content
    bool is_latest = false;
    std::uint64_t size = 0;
    std::int64_t modified_s = 0;  // 0 where the store does not say
};
struct VersionPage {
    std::vector<StoredVersion> versions{};  // by key, of each the newest first
    std::string next{};                     // as in ListPage
};

// What interrupted puts left behind: unfinished uploads of a bucket, temporary files of a folder.
struct Strays {
    std::uint64_t uploads = 0;
    std::uint64_t temporaries = 0;
};

// A file that is being written, without a name: nothing is left of it when it is not kept, whatever
// becomes of the process. Used by one thread at a time.
class StagedFile {
  public:
    virtual ~StagedFile() = default;
    // To write to and to read from.
    virtual int fd() const = 0;
    // It becomes the object it was staged for, as by Driver::put. Once.
    virtual Result<ObjectInfo> keep(const PutOptions& options) = 0;
};

struct Space {
    std::optional<std::uint64_t> free_bytes{};  // nothing: the store does not say, or has no end
    std::optional<std::uint64_t> total_bytes{};
};

// The objects of one pool. Safe from any thread. Every error carries pool and key (StoreDetail).
//
// Kinds of errors: not_found; denied (rights); conflict (it is there already in another form);
// capped (a budget or the store's own cap is used up); corrupt (what arrived or lies there is not
// what it should be); misconfigured (bucket, region, keys, clock); and those for which
// Error::may_retry() is true, which the driver has already retried within its own limits.
class Driver {
  public:
    virtual ~Driver() = default;

    virtual const std::string& pool() const = 0;

    // Stores the object whole under its final name, or changes nothing that a reader sees; durable
    // on return. Replaces what was there. The result has size, SHA-256 and version.
    virtual Result<ObjectInfo> put(std::string_view key, ByteSource& source,
                                   const PutOptions& options) = 0;

    // The same of content that is pushed: `fill` writes it into the sink, in order. Nothing,
    // without a call of `fill`, where content can only be pulled here.
    using Fill = std::function<Result<void>(ByteSink& sink)>;
    virtual Result<std::optional<ObjectInfo>> put_pushed(std::string_view key, const Fill& fill,
                                                         const PutOptions& options);

    // A new file that becomes this object without being copied: what there is of that name by then
    // is a conflict. Null where the store has no files.
    virtual Result<std::unique_ptr<StagedFile>> stage(std::string_view key);

    // Pushes the content, in order, and returns what the store said of the object. A body that
    // breaks is resumed where it broke, if it is still the same version. A range that begins at or
    // behind the end of an object that is not empty is ErrorKind::invalid.
    virtual Result<ObjectInfo> get(std::string_view key, const GetRange& range, ByteSink& sink) = 0;

    // The same to be pulled, by one thread: each error is that of a read. The driver outlives it.
    virtual std::unique_ptr<ByteSource> source(std::string_view key);

    virtual Result<ObjectInfo> head(std::string_view key) = 0;
    // The same of several keys, without those that are absent.
    virtual Result<std::vector<ObjectInfo>> heads(std::span<const std::string> keys);

    // Sees to it that the object that is there now is durable, as one is that put() has stored:
    // what another program wrote, or an attempt that did not come to its end, may be on no disk
    // yet. To be asked before such a copy is taken for good (invariant 1). Nothing to do where a
    // store has only what it has acknowledged.
    virtual Result<void> settle(std::string_view key);

    // Removes it for good, with every version and marker that the store keeps; what is not there is
    // removed already.
    virtual Result<void> remove(std::string_view key) = 0;

    static constexpr std::size_t kMostListed = 1000;
    // At most `limit` (1..kMostListed) objects whose keys start with `prefix`, beginning where
    // `next` of the page before says ("" = at the start). What is written meanwhile may or may not
    // be seen; what was there throughout is, once.
    virtual Result<ListPage> list(std::string_view prefix, const std::string& next,
                                  std::size_t limit) = 0;

    // The same of all versions; nothing of a store that keeps none.
    virtual Result<VersionPage> list_versions(std::string_view prefix, const std::string& next);

    // Removes this version or marker alone, or the versions that are older than it.
    virtual Result<void> remove_version(std::string_view key, std::string_view version_id);
    virtual Result<void> remove_older_versions(std::string_view key, std::string_view version_id);

    // Finds, and unless `only_count` removes, what was begun before `before_s` and not ended.
    virtual Result<Strays> sweep_strays(std::int64_t before_s, bool only_count);

    // Takes the object out of the way: afterwards it is below `folder` ("quarantine/"), under a
    // name that says its time and size before its key, where nothing serves or lists it as an
    // object. `info` is what head() says of it. Doing it again, after it was interrupted or done,
    // ends it.
    virtual Result<void> set_aside(std::string_view key, const ObjectInfo& info,
                                   std::string_view folder);

    // Copies `key` of `from` to `to_key` here without the bytes passing through this machine;
    // nothing (not an error) where these two stores cannot do that.
    virtual Result<std::optional<ObjectInfo>> copy_within_store(Driver& from, std::string_view key,
                                                                std::string_view to_key,
                                                                const PutOptions& options) = 0;

    // The less of what the store and the pool's max_size leave is for the caller to find: this is
    // the store's word alone.
    virtual Result<Space> space() = 0;

    // Reachable, with these credentials, and writable where `for_writing` (then something small is
    // stored and removed). What was found, a line each, for people; errors say what to mend.
    virtual Result<std::vector<std::string>> check(bool for_writing) = 0;
};

// True and false, or the error that kept it from being found out.
Result<bool> exists(Driver& driver, std::string_view key);

// Of a store that keeps versions: removes those that this one has replaced, which are hidden by it
// and billed. What cannot be removed is logged and stays for reconcile to find.
void remove_replaced(Driver& driver, const ObjectInfo& now);

// As head(), with the SHA-256 of the content, which is read where the store does not say it.
Result<ObjectInfo> head_with_digest(Driver& driver, std::string_view key);

// Where set_aside() puts an object, below its folder.
std::string set_aside_name(std::string_view key, const ObjectInfo& info);

// Copies an object from one pool to another, in the store where that is possible, else through this
// machine with its SHA-256 computed and, where `options.sha256` is known, compared.
Result<ObjectInfo> copy_object(Driver& from, std::string_view key, Driver& to,
                               std::string_view to_key, const PutOptions& options);

}  // namespace tidepool::storage
