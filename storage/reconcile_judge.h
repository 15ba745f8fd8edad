// Says of one key whether catalog and pool agree on it. Blocking; changes nothing.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/finding.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace tidepool::storage {

struct JudgeRules {
    std::int64_t now_s = 0;
    std::int64_t grace_s = 3600;  // younger objects are left alone
    bool deep = false;            // by content, which is read
    std::string quarantine_prefix = "quarantine/";
    // The job that asks, which does not count among those that are at work on the image. 0: none.
    JobId asking = 0;
};

struct Verdict {
    enum class Kind : std::uint8_t {
        well,      // or nothing is there, and nothing is said to be
        pending,   // an open job moves or deletes the image, or cleans up behind it
        young,     // something would be wrong, but the object may still be in the making
        left_out,  // no object: set aside, or under a name that no URL has
        finding,
    };
    Kind kind = Kind::well;
    FindingKind finding = FindingKind::missing_object;  // where it is one
    std::string key{};
    std::optional<ObjectRecord> row{};   // whatever pool it names
    std::optional<ObjectInfo> object{};  // here; with its SHA-256 where the content was read
    std::optional<PoolId> home{};        // of a late variant: where its image lives
    std::string copy_of{};     // the key of its object, where the row is that of a copy here
    bool is_deleted = false;   // its image was deleted
    std::uint64_t hidden = 0;  // versions, of hidden_version

    std::uint64_t bytes() const { return object ? object->size : row ? row->size : 0; }
};

// What a store keeps of one key besides its current version.
struct KeyVersions {
    std::string key{};
    std::optional<StoredVersion> latest{};  // a marker, where that is what the store gives
    std::uint64_t hidden = 0;               // the others
    std::uint64_t hidden_bytes = 0;
    std::int64_t newest_s = 0;  // of any of them

    void add(const StoredVersion& version);
};

// One thread. Catalog and drivers outlive it. Errors are those of catalog and store.
class ReconcileJudge {
  public:
    ReconcileJudge(Catalog& catalog, DriverSet::Pool pool, JudgeRules rules)
        : catalog_(catalog), pool_(std::move(pool)), rules_(std::move(rules)) {}

    // Of one step of a merge: the pool's row, or its record of a copy, and what its listing said,
    // of which one may be null. Asks the store only where they do not agree, or where contents are
    // read. After kMostLooks such looks it believes the listing, as then something is wrong with
    // all of it.
    Result<Verdict> listed(const ObjectRecord* row, const ObjectInfo* object);
    // The same by a look at catalog and store as they are now.
    Result<Verdict> look(const std::string& key);
    // Of hidden versions. `object` is looked at where they may be removed.
    Result<Verdict> versions(const KeyVersions& versions);

    static constexpr std::uint64_t kMostLooks = 10'000;

  private:
    Result<std::optional<ObjectInfo>> object_of(const std::string& key, bool read);
    Result<void> take_row(Verdict& verdict);
    bool is_here(const Verdict& verdict) const;
    Result<Verdict> judge_row(Verdict verdict);
    Result<Verdict> judge_object(Verdict verdict);
    Result<Verdict> found(FindingKind kind, Verdict verdict);
    Result<bool> is_busy(const Verdict& verdict);
    Result<bool> is_open(const std::string& dedup_key);
    Result<std::optional<PoolId>> other_home(const ObjectRecord& object);
    bool is_left_out(const std::string& key) const;

    Catalog& catalog_;
    const DriverSet::Pool pool_;
    const JudgeRules rules_;
    std::uint64_t looks_ = 0;
    // The last image that was asked for: its variants come one after the other.
    std::optional<Uuid> image_;
    std::optional<PoolId> image_home_;
};

}  // namespace tidepool::storage
