// What the catalog holds: one struct per table. Times are seconds since 1970, sizes bytes.
#pragma once

#include "conf/digest.h"
#include "conf/error.h"
#include "storage/image_key.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

using PoolId = std::int64_t;  // never used again for another pool
using JobId = std::int64_t;

struct PoolRecord {
    enum class Origin : std::uint8_t { file = 0, api = 1 };
    enum class State : std::uint8_t { active = 0, disabled = 1, draining = 2 };
    PoolId id = 0;
    std::string name;      // unique
    std::string settings;  // JSON without secrets; for pools of origin `file` what it last said
    std::string secrets;   // encrypted bytes, opaque here; "" = none
    Origin origin = Origin::file;  // file: managed by it; api: made at run time
    State state = State::active;
    bool operator==(const PoolRecord&) const = default;
};

struct ObjectRecord {
    std::string key;
    PoolId pool = 0;
    std::optional<Uuid> image;
    Role role = Role::original;  // in the catalog never `backup`: those are BackupRecords
    std::uint64_t size = 0;
    std::optional<conf::Sha256Digest> sha256;  // nothing: not read yet
    std::string content_type;                  // "" = not looked at yet
    std::int64_t modified_s = 0;  // Last-Modified as answered; a move does not change it
    std::string store_etag;       // the store's own; "" where it has none
    std::string version_id;       // "" where the store keeps no versions
    std::int64_t added_s = 0;     // to the catalog
    bool operator==(const ObjectRecord&) const = default;
};

// A record with image and role as the key says.
ObjectRecord object_record(std::string key, PoolId pool);
// The same of an object that was just stored, with what its store said of it.
struct ObjectInfo;
ObjectRecord object_record(std::string key, PoolId pool, const ObjectInfo& info,
                           std::string_view content_type, std::int64_t now_s);

// A copy that is nobody's home: in a backup pool, or in the pool that mirrors the object's own.
struct BackupRecord {
    PoolId pool = 0;
    std::string key;       // of the copy, in its pool; a mirror's is the object's own
    std::string original;  // key of the object that it is a copy of

    bool is_mirror() const { return key == original; }

    std::uint64_t size = 0;
    std::optional<conf::Sha256Digest> sha256;
    std::string store_etag;
    std::string version_id;
    std::int64_t added_s = 0;
    bool operator==(const BackupRecord&) const = default;
};

// A copy as the object that it is in its pool, of role `backup`.
ObjectRecord record_of_copy(const BackupRecord& copy);

struct ImageRecord {
    // incomplete: what is made at its upload is not there yet; failed: it will not be.
    enum class State : std::uint8_t { incomplete = 0, complete = 1, deleting = 2, failed = 3 };
    Uuid uuid{};
    PoolId pool = 0;       // the home that new variants join
    std::string original;  // key
    State state = State::complete;
    std::int64_t uploaded_s = 0;
    std::int64_t moved_s = 0;  // when it came to `pool`: the dwell time's beginning
    std::string metadata;      // JSON: what is known of it beside its bytes; "" = nothing
    std::string owner{};       // who uploaded it; "" = nobody known
    bool is_private = false;   // for itself; see Catalog::set_private
    bool operator==(const ImageRecord&) const = default;
};

struct ImageFilter {
    std::optional<PoolId> pool{};
    std::optional<ImageRecord::State> state{};
    std::string owner{};          // "" = any
    std::string prefix{};         // of the original's key
    std::optional<Uuid> after{};  // only higher ones
    std::size_t looks = 100'000;  // images that are looked at, at most
};
struct ImagePage {
    std::vector<ImageRecord> images;
    // Where the next page begins, `after` it; nothing: there are no more. A page that is not full
    // may have one, as few of what was looked at were wanted.
    std::optional<Uuid> next{};
};

// What a key is found to be.
struct Location {
    std::optional<ObjectRecord> row;
    bool is_deleted = false;       // its image was deleted, whatever is still there
    bool is_private = false;       // its image is, for itself
    std::optional<PoolId> home{};  // of its image, where that is known
};

// What a pool holds of one role.
struct Account {
    PoolId pool = 0;
    Role role = Role::original;
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
    bool operator==(const Account&) const = default;
};

struct JobRecord {
    enum class State : std::uint8_t {
        queued = 0,
        running = 1,
        done = 2,
        failed = 3,
        cancelled = 4,
        paused = 5
    };
    JobId id = 0;
    std::string type;
    std::string payload;  // JSON
    State state = State::queued;
    int priority = 100;         // lower is taken first
    std::int64_t attempts = 0;  // since it was queued, or restarted
    std::int64_t created_s = 0;
    std::int64_t next_run_s = 0;  // not before this
    std::int64_t finished_s = 0;  // 0 = not finished
    std::string lease_owner;      // who works on it; "" = nobody; see is_held()
    std::int64_t lease_until_s = 0;
    std::string error_class;  // of the last failed attempt; "" = none
    std::string error_text;
    std::string progress;   // JSON: where the next attempt goes on
    std::string dedup_key;  // "" = may be queued any number of times
    std::string lane;       // what limits how many run at a time; its type where nothing else does
    std::string batch;      // of the command or sweep that queued it; "" = none
    // Attempts in a row that ended with their process, not with a result.
    std::int64_t lost = 0;
    // Attempts in all that may have changed something; no restart sets it back.
    std::int64_t begun = 0;
    // Whether somebody may be at it. Whoever works on what is paused or cancelled learns of it
    // late, and has it until he lets go of it or his lease ends.
    bool is_held(std::int64_t now_s) const {
        return state == State::running || (!lease_owner.empty() && lease_until_s > now_s);
    }
    bool operator==(const JobRecord&) const = default;
};

struct NewJob {
    std::string type;
    std::string payload;
    std::string dedup_key{};  // while a job of this key is open, queueing it again gives that job
    int priority = 100;
    std::int64_t not_before_s = 0;
    std::string lane{};   // "" = its type
    std::string batch{};  // "" = none
    // Set: it is about what is so by now, which whoever is at such a job may not have seen. So an
    // open job of this key does for it only while nobody works on it, and then has the payload that
    // this makes of both, and the lane of this one if it names one; behind one that runs another is
    // queued. Pure.
    std::string (*merged)(std::string_view open, std::string_view wanted) = nullptr;
    // No open job of this key does for it: it is queued beside them, see numbered_key().
    bool is_apart = false;
};

// That visitors must not see something any more, or see something else from now on.
struct Outdated {
    enum class Why : std::uint8_t {
        deleted,   // they are told that it is gone
        hidden,    // they are refused
        shown,     // they are not refused any more
        replaced,  // the content at a key is another one, or is not known any more
        moved,     // from one pool to another
    };
    Why why = Why::replaced;
    std::optional<Uuid> image{};
    std::vector<std::string> keys{};  // that are known of it
    bool is_whole = false;            // all that the image has, not these keys alone
    PoolId from = 0;                  // of moved
    PoolId to = 0;
};

// Who works on a job: what changes anything in its name names both.
struct JobLease {
    JobId job = 0;
    std::string owner{};
};

// Jobs of one lane that are queued or run, of one priority.
struct OpenLane {
    std::string lane;
    int priority = 0;
    std::int64_t next_run_s = 0;  // of the first of them
};

// What is open of one lane.
struct OpenJobs {
    std::optional<std::int64_t> oldest_s{};  // when it was queued; nothing: there is none
    std::uint64_t failing = 0;               // whose last attempt failed
};

struct JobCount {
    std::string type;
    JobRecord::State state = JobRecord::State::queued;
    std::uint64_t count = 0;
};

struct BatchCount {
    std::string batch;
    JobRecord::State state = JobRecord::State::queued;
    std::uint64_t count = 0;
};

struct JobFailure {
    std::string error_class;
    std::string text;
    std::optional<std::int64_t> retry_at_s{};  // nothing: no attempt will help, the job has failed
    bool was_begun = true;                     // false: this attempt changed nothing
};

struct JobFilter {
    std::string type{};   // "" = any
    std::string batch{};  // "" = any
    std::optional<JobRecord::State> state{};
    JobId after = 0;  // only higher ids
};

// That objects change their pool. They are as their new store has them (etag, version, SHA-256),
// but for `pool`, which is still the old one.
struct Relocation {
    std::vector<ObjectRecord> objects;
    PoolId to = 0;
    // Whose objects these are, all of them but for those that are in `to` already.
    std::optional<Uuid> image{};
    std::int64_t now_s = 0;
    // What stays behind as a copy.
    std::vector<BackupRecord> copies{};
    // Queued with it: what is to be done about what else stays behind.
    std::vector<NewJob> then{};
    // The job that does it, which is finished with it. 0: none.
    JobLease by{};
};

// A job that was done.
struct JobEnding {
    JobLease job{};
    const Relocation* relocation = nullptr;  // by this job, with its end
};

using UploadId = std::int64_t;

// Bytes that are kept free for an upload: of a session, and then of the upload itself, which says
// here where its bytes go before it puts them there.
struct UploadRecord {
    UploadId id = 0;
    PoolId pool = 0;
    std::string owner;        // whose image it will be
    std::uint64_t bytes = 0;  // at most
    std::optional<conf::Sha256Digest>
        token{};            // digest of the session's token; nothing: no session
    std::string details{};  // JSON that the session was asked for with
    std::int64_t expires_s = 0;
    // Of an upload that has begun.
    std::optional<Uuid> image{};
    std::string key{};
    std::string process{};  // see storage/job_owner.h
    bool operator==(const UploadRecord&) const = default;
};

// What a pool can still take, as its store says.
struct PoolRoom {
    PoolId pool = 0;
    std::optional<std::uint64_t> max_bytes{};   // of all its objects; nothing: no limit
    std::optional<std::uint64_t> free_bytes{};  // of its disk
};

// An upload that comes in pieces (tus 1.0), and may go on after a restart. Its bytes are in the
// spool, see storage/resumable_spool.h.
struct ResumableUpload {
    std::string id;              // as its URL says it
    conf::Sha256Digest token{};  // digest of the token that it was begun with, and goes on with
    std::string owner;
    PoolId pool = 0;
    UploadId upload = 0;       // keeps its bytes free; given by the catalog
    std::uint64_t length = 0;  // of all of it
    std::string metadata{};    // Upload-Metadata, as it came
    std::string details{};     // of its session; see UploadRecord
    std::int64_t expires_s = 0;
    std::optional<Uuid> image{};  // that it has become
    bool operator==(const ResumableUpload&) const = default;
};

// Uploads in pieces that have not become images.
struct ResumableUse {
    std::uint64_t bytes = 0;  // that all of them may have in the spool, those that ran out, too
    // Of one owner, of those that may go on.
    std::uint64_t open = 0;
    std::uint64_t owner_bytes = 0;
};

// What an owner may have. 0 and nothing: no limit.
struct OwnerLimits {
    std::optional<std::uint64_t> quota_bytes{};  // stored and reserved
    unsigned sessions = 0;                       // open at a time; uploads in pieces are none
};

// What became of a wish for bytes. Where they are reserved `upload` says where.
struct Reservation {
    // too_many: its token has as many uploads already that have not ended, its owner as many
    // sessions.
    enum class Outcome : std::uint8_t { reserved, no_room, over_quota, too_many };
    Outcome outcome = Outcome::no_room;
    UploadRecord upload{};
    std::uint64_t quota_left = 0;  // of over_quota
};

// An image that an owner has, by its original's content.
struct StoredUpload {
    Uuid image{};
    bool is_duplicate = false;  // it was there before
};

// What an owner has, and has reserved.
struct OwnerUse {
    std::uint64_t images = 0;
    std::uint64_t bytes = 0;
    std::uint64_t reserved_bytes = 0;
};

// Who may use the API. The key itself is known to its holder alone.
struct KeyRecord {
    conf::Sha256Digest hash{};  // of the key
    std::string owner;
    std::string name;
    std::string limits;  // JSON
    std::int64_t created_s = 0;
    std::int64_t expires_s = 0;  // 0 = never
    std::int64_t revoked_s = 0;  // 0 = it is good
    bool operator==(const KeyRecord&) const = default;
};

// Which keys are listed, and from where on.
struct KeyFilter {
    std::string owner{};  // "" = of all
    // The last of the page before; nothing = from the oldest.
    struct Place {
        std::int64_t created_s = 0;
        conf::Sha256Digest hash{};
    };
    std::optional<Place> after{};
};

// A call of the API that is not to be done twice, and what it was answered.
struct SavedCall {
    conf::Sha256Digest name{};     // of the caller's key
    conf::Sha256Digest request{};  // of what was asked for
    int status = 0;                // of the answer; 0 = it is being done
    std::string answer{};          // encrypted, opaque here
    std::string process{};         // that does it, see storage/job_owner.h
    std::int64_t begun_s = 0;
    bool operator==(const SavedCall&) const = default;
};

// A setting that was changed at run time.
struct SettingRecord {
    std::string name;   // as in the file: "tiering.enabled"
    std::string value;  // JSON, written as in the file: "true", "\"64MiB\""
    std::int64_t changed_s = 0;
    bool operator==(const SettingRecord&) const = default;
};
struct SettingChange {
    std::string name;
    std::optional<std::string> value;  // nothing: the change is taken back
    bool operator==(const SettingChange&) const = default;
};

// How often an image was asked for, at the origin.
struct ViewUpdate {
    Uuid image{};
    std::uint64_t views = 0;  // since the last update
    std::int64_t last_s = 0;
};
struct ViewRecord {
    double score = 0;  // views, each worth half after a half-life; as of last_s
    std::int64_t last_s = 0;
};

// What is left of the score after some time without a view. A clock that was set back gains
// nothing.
double score_at(const ViewRecord& views, std::int64_t now_s, std::int64_t half_life_s);

// Which images of a pool a sweep of the tiering policy asks for. Images that are not complete, or
// that an open job is about, are never among them.
struct TierFilter {
    PoolId pool = 0;
    std::size_t limit = 0;
    std::optional<std::int64_t> uploaded_before_s{};
    std::optional<std::int64_t> moved_before_s{};   // to this pool
    std::optional<std::int64_t> viewed_before_s{};  // not since; see TierImage::seen_s
    // Not those of which a move out of this pool has failed since then, until that is retried.
    std::optional<std::int64_t> failed_since_s{};
    // Nothing: all of them.
    std::function<bool(const Uuid&)> is_in_cohort{};
};
struct TierImage {
    Uuid image{};
    PoolId pool = 0;
    std::string original;  // key
    std::int64_t uploaded_s = 0;
    std::int64_t moved_s = 0;
    std::optional<ViewRecord> views{};  // nothing: never viewed at the origin
    // The last view, or the upload of what nobody has viewed.
    std::int64_t seen_s() const { return views ? views->last_s : uploaded_s; }
};

// What a pool's store was asked for on one UTC day.
struct DayUse {
    std::int64_t class_a_calls = 0;
    std::int64_t class_b_calls = 0;
    std::int64_t class_c_calls = 0;
    std::uint64_t egress_bytes = 0;
    bool operator==(const DayUse&) const = default;
};

// Where a scan of a pool stands, so that one that was killed goes on there.
struct ScanRecord {
    PoolId pool = 0;
    std::string next;      // ListPage::next
    std::string last_key;  // the last one seen: rows up to here were compared
    std::string counts;    // text of whoever scans
    std::int64_t started_s = 0;
    bool operator==(const ScanRecord&) const = default;
};

}  // namespace tidepool::storage
