// The shelf: a disk cache of what was fetched from stores. Blocking calls only.
#pragma once

#include "conf/digest.h"
#include "conf/error.h"
#include "conf/settings.h"
#include "storage/open_file.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tidepool::storage {

// What is on the shelf: an object, or a slice of one, in one version.
class ShelfName {
  public:
    // `version` is whatever tells two contents of the key apart; `slice` counts from 0, nothing is
    // the whole object.
    ShelfName(std::string_view pool, std::string_view key, std::string_view version,
              std::optional<std::uint64_t> slice, std::uint64_t bytes);

    bool is_slice() const { return id_[2] != 0; }
    std::uint64_t bytes() const { return id_[3]; }
    // Of its file, which has the digest behind the bytes.
    std::uint64_t file_bytes() const { return bytes() + sizeof(conf::Sha256Digest); }

  private:
    friend class Shelf;
    // 128 bits of a digest, the slice + 1 or 0, the size. The size too, as slices of one number
    // have another after the setting was changed.
    using Id = std::array<std::uint64_t, 4>;

    explicit ShelfName(const Id& id) : id_(id) {}
    static std::optional<ShelfName> parse(std::string_view file_name);
    std::string file_name() const;

    Id id_;
};

// Files in a folder, found by their names alone, so that a restart needs no rebuilding: what is
// there can be used at once, and a scan in the background only learns what to evict first.
//
// Least recently used goes first, but what was asked for a second time is kept in a part of its own
// (four fifths), which objects that are wanted once, as by a crawler, cannot empty. The order
// survives a restart in the files' access times. Files that somebody deletes are just not there
// any more. Everything has its SHA-256 behind it, and is proved by it when it is found for the
// first time after a restart or a change of its file. After a crash of the machine slices are
// thrown away.
//
// Safe from any thread.
class Shelf {
  public:
    // Makes the folder. Fails where it cannot be written. Two processes may have the same one, as
    // when one takes over from the other; each counts only what it knows of.
    static Result<std::unique_ptr<Shelf>> open(const conf::ShelfSettings& settings);
    ~Shelf();
    Shelf(const Shelf&) = delete;
    Shelf& operator=(const Shelf&) = delete;

    // Learns what is on the shelf; takes seconds where that are millions. Called once, on a thread
    // of its own; ends early after stop_scan().
    void scan();
    void stop_scan() { stopping_.store(true, std::memory_order_relaxed); }

    // Reads all of it where it is not proved yet. not_found: it is not there; corrupt: it was
    // damaged, and is no longer there. Counts as a use.
    Result<std::shared_ptr<OpenFile>> find(const ShelfName& name);
    // What the bytes of a file that was found had come to when they were put there.
    static Result<conf::Sha256Digest> digest_of(const OpenFile& file, const ShelfName& name);
    // As far as is known without looking at the disk. Never blocks.
    bool holds(const ShelfName& name) const;

    // A place that is being filled. Nobody finds it before commit(); destroyed without, it leaves
    // nothing. One thread at a time.
    class Filling {
      public:
        ~Filling();
        Filling(const Filling&) = delete;
        Filling& operator=(const Filling&) = delete;

        // Appends. overloaded where the disk is full.
        Result<void> append(std::span<const char> bytes);
        // Makes it found by its name. invalid where it does not have its size. `sha256`: of a whole
        // object, which who fills has to know; that of a slice is known here.
        Result<void> commit(const std::optional<conf::Sha256Digest>& sha256 = std::nullopt);
        // Of the same file, from the first byte on that append() wrote.
        const std::shared_ptr<OpenFile>& file() const { return file_; }

      private:
        friend class Shelf;
        Filling(Shelf& shelf, const ShelfName& name, std::string path,
                std::shared_ptr<OpenFile> file, int fd);

        Shelf& shelf_;
        ShelfName name_;
        std::string path_;  // "" once it has its name
        std::shared_ptr<OpenFile> file_;
        int fd_;
        Result<void> write(std::span<const char> bytes);

        std::uint64_t written_ = 0;
        std::optional<conf::Sha256> sha256_;  // of a slice
    };
    // Makes room first. overloaded where there is none: it is too large for the shelf, or the disk
    // is full of other things.
    Result<std::unique_ptr<Filling>> begin(const ShelfName& name);

    // Takes it off, as it is not what it should be.
    void drop(const ShelfName& name);

    struct Usage {
        std::uint64_t bytes = 0;  // committed, and being filled
        std::uint64_t entries = 0;
        std::uint64_t evictions = 0;
        std::uint64_t evicted_bytes = 0;
        bool scanned = false;
    };
    Usage usage() const;

  private:
    // The two parts, each in the order of use.
    enum Part : std::uint8_t { once, again };
    struct Entry;
    struct IdHash {
        // They are digests already.
        std::size_t operator()(const ShelfName::Id& id) const { return id[0] ^ id[2]; }
    };
    using Index = std::unordered_map<ShelfName::Id, Entry, IdHash>;
    using Node = std::pair<const ShelfName::Id, Entry>;
    struct Entry {
        std::int64_t touched_s = 0;  // when its access time was last written
        // The modification time with which its bytes were right.
        static constexpr std::int64_t kNotProved = INT64_MIN;
        std::int64_t proved_ns = kNotProved;
        Node* newer = nullptr;
        Node* older = nullptr;
        Part part = once;
    };
    struct Order {
        Node* newest = nullptr;
        Node* oldest = nullptr;
        std::uint64_t bytes = 0;
    };

    explicit Shelf(const conf::ShelfSettings& settings) : settings_(settings) {}

    static std::uint64_t bytes_of(const Node& node) { return node.first[3]; }
    std::uint64_t used_bytes() const {
        return orders_[once].bytes + orders_[again].bytes + filling_bytes_;
    }
    std::string path_of(const ShelfName& name) const;
    Result<void> prove(const OpenFile& file, const ShelfName& name);
    void link_newest(Node& node, Part part);
    void link_oldest(Node& node, Part part);
    void unlink(Node& node);
    void use(Node& node);
    Node& add(const ShelfName& name, std::int64_t used_s);
    void forget(const ShelfName& name);
    Result<void> make_room(std::uint64_t bytes);
    bool disk_has_room(std::uint64_t bytes) const;
    void release(std::uint64_t bytes);
    struct Found;
    void list_folder(const std::string& folder, std::vector<Found>& into) const;
    void clean_up(bool after_crash);

    conf::ShelfSettings settings_;
    std::atomic<bool> stopping_ = false;

    mutable std::mutex mutex_;
    Index index_;
    std::array<Order, 2> orders_;
    std::uint64_t filling_bytes_ = 0;
    std::uint64_t next_filling_ = 0;
    std::uint64_t evictions_ = 0;
    std::uint64_t evicted_bytes_ = 0;
    bool scanned_ = false;
};

}  // namespace tidepool::storage
