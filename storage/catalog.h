// What is known of every object, pool and piece of work: the database behind one interface.
#pragma once

#include "storage/catalog_records.h"

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

// What became of one record that was offered for adoption.
enum class Adoption : std::uint8_t {
    added,      // there was no row
    changed,    // the row of the same pool said otherwise and was brought up to date
    unchanged,  // the row of the same pool says the same
    foreign,    // the row names another pool, which keeps it
    deleted,    // it belongs to an image that was deleted: there is no row, and none was made
    uploading,  // it is being uploaded: its row comes with the end of that
};

// Safe from any thread. Calls block on a disk or a server: never made on an event loop.
//
// A call that changes something is one transaction, durable on return (invariant 1), and either
// done or not done at all. Accounts change with the rows that they count (invariant 5).
//
// Errors: timed_out (others kept it locked for too long; may be retried), io (disk or server),
// corrupt (the database is damaged), misconfigured (no rights, another program's file, a newer
// version's catalog), and those that a call names itself.
class Catalog {
  public:
    virtual ~Catalog() = default;

    // A good limit for what gives a page at a time.
    static constexpr std::size_t kPage = 1000;

    // --- objects --------------------------------------------------------------------------------

    // The row of this key. Fast: prepared, and without a lock that a writer holds.
    virtual Result<std::optional<ObjectRecord>> find(std::string_view key) = 0;

    // The same, and what is known of the image that it belongs to, with a row or without.
    virtual Result<Location> locate(std::string_view key) = 0;

    using SaveScan = std::function<ScanRecord(std::span<const Adoption>)>;
    // Takes in what a look at a pool found. It never takes a key away from another pool. Of a row
    // that is brought up to date, what the record leaves open (hash, type) is kept where the
    // content is the same by ETag and size, or by time and size, and forgotten where it is not; the
    // time of an object whose ETag is the same stays. `scan` is saved in the same transaction.
    // Results are in the order of the records.
    virtual Result<std::vector<Adoption>> adopt(std::span<const ObjectRecord> objects,
                                                const SaveScan& scan = {}) = 0;
    // What adopt() would answer; changes nothing.
    virtual Result<std::vector<Adoption>> would_adopt(std::span<const ObjectRecord> objects) = 0;

    // Makes or replaces the row, whatever pool it named, and gives what it replaced: where that is
    // of another pool, the bytes there are the caller's to remove.
    virtual Result<std::optional<ObjectRecord>> put_object(const ObjectRecord& object) = 0;

    // Like put_object, of what is meant for where the image is. Conflict, and nothing changes,
    // where the row or the image is in another pool by now.
    virtual Result<void> put_in_place(const ObjectRecord& object) = 0;

    // Makes or replaces the row of a variant that was stored beside its original. Conflict, and
    // nothing changes, where the original is in another pool by now; not_found where the image was
    // deleted, or where the original has no row, unless it `may_lack_row`.
    virtual Result<std::optional<ObjectRecord>> put_variant(const ObjectRecord& variant,
                                                            std::string_view original,
                                                            bool may_lack_row) = 0;

    // Notes the SHA-256 of an object in the row that still says of it what the record does (pool,
    // size, ETag, version) and has none yet. False where there is no such row; none is made.
    virtual Result<bool> learn_digest(const ObjectRecord& object) = 0;

    // False where there is no row of this key and pool. What an open move may have copied of it is
    // queued to be cleaned.
    virtual Result<bool> remove_object(std::string_view key, PoolId pool) = 0;

    // Changes where objects are, all or none. Conflict where a row is not in the pool, or not of
    // the size and SHA-256 that is said of it, where the image has a further object that is not in
    // `to`, or was deleted, and where the job is no longer its owner's.
    virtual Result<void> relocate(const Relocation& relocation) = 0;

    // At most `limit` objects whose keys start with `prefix`, of one pool or of all, by the bytes
    // of their keys, from the first key above `after`.
    virtual Result<std::vector<ObjectRecord>> list(std::optional<PoolId> pool,
                                                   std::string_view prefix, std::string_view after,
                                                   std::size_t limit) = 0;

    // The original and the variants, wherever they are.
    virtual Result<std::vector<ObjectRecord>> objects_of(const Uuid& image) = 0;

    virtual Result<std::optional<ImageRecord>> find_image(const Uuid& image) = 0;
    // Leaves as it is whether it is private.
    virtual Result<void> put_image(const ImageRecord& image) = 0;
    // Whether only a signed URL opens the image and its variants, whatever its pool says. False,
    // and nothing changes, where the image is not known. It holds until it is changed or the
    // image's deletion is forgotten, also where its files go and come back meanwhile.
    virtual Result<bool> set_private(const Uuid& image, bool is_private) = 0;
    // At most `limit` images in the order of their UUIDs.
    virtual Result<ImagePage> list_images(const ImageFilter& filter, std::size_t limit) = 0;

    // From now on the image's keys are located as deleted, and nothing of it is adopted; the job,
    // queued with it, is to remove what there is. Doing it again gives the open job, or queues it
    // again. An image that is not known is deleted just the same: other programs' files may be
    // there.
    virtual Result<JobId> begin_deletion(const Uuid& image, const NewJob& job,
                                         std::int64_t now_s) = 0;
    virtual Result<bool> is_deleted(const Uuid& image) = 0;
    // All of it is gone: forgets what else is known of the image (its row, its views).
    virtual Result<void> end_deletion(const Uuid& image) = 0;
    // Images whose deletion has begun and not ended, in their order, behind `after`.
    virtual Result<std::vector<Uuid>> unended_deletions(const Uuid& after, std::size_t limit) = 0;
    // Images deleted before this may come back; gives how many there were.
    virtual Result<std::size_t> forget_deletions(std::int64_t before_s) = 0;

    // Asked of each row that comes to a pool or changes there, within the transaction that writes
    // it; the job it gives is queued with that. It must not ask the catalog. Replaces the one
    // before.
    using Follow = std::function<std::optional<NewJob>(const ObjectRecord&)>;
    virtual void follow_rows(Follow follow) = 0;

    // Told of what visitors must not see as it was any more, within the transaction that makes it
    // so; the job it gives is queued with that. It must not ask the catalog. Replaces the one
    // before.
    using Outdate = std::function<std::optional<NewJob>(const Outdated&)>;
    virtual void follow_outdated(Outdate outdate) = 0;

    // Grows with each change of objects, pools or settings by another process; what this one
    // changes does not count.
    virtual Result<std::uint64_t> foreign_changes() = 0;

    // --- copies -------------------------------------------------------------------------------
    //
    // Of originals in backup pools, and of any object in a pool that mirrors its own. No object is
    // at home where there is a record of a copy with its key: whichever comes later wins.

    // Nothing is noted where the object of this key is at home in this pool.
    virtual Result<void> put_backup(const BackupRecord& backup) = 0;
    virtual Result<bool> remove_backup(PoolId pool, std::string_view key) = 0;
    virtual Result<std::optional<BackupRecord>> find_backup(PoolId pool, std::string_view key) = 0;
    virtual Result<std::vector<BackupRecord>> backups_of(std::string_view original) = 0;
    // At most `limit` of a pool, by the bytes of their keys, from the first key above `after`.
    virtual Result<std::vector<BackupRecord>> list_backups(PoolId pool, std::string_view after,
                                                           std::size_t limit) = 0;

    // --- accounts -------------------------------------------------------------------------------

    // By pool, then role; what holds nothing may be left out.
    virtual Result<std::vector<Account>> accounts() = 0;
    // The same beside what the rows sum up to, both of one moment. Reads every row.
    struct Recount {
        std::vector<Account> accounts;
        std::vector<Account> rows;
        bool balanced() const { return accounts == rows; }
    };
    virtual Result<Recount> recount() = 0;

    // --- pools ----------------------------------------------------------------------------------

    virtual Result<std::vector<PoolRecord>> pools() = 0;
    // The row of a pool that the configuration file names; made or brought up to date. Conflict
    // where a pool made at run time has that name.
    virtual Result<PoolRecord> declare_pool(std::string_view name, std::string_view settings) = 0;
    // Gives the record with its id. Conflict where the name is taken.
    virtual Result<PoolRecord> create_pool(const PoolRecord& pool) = 0;
    // By id; not_found where there is none, conflict where the new name is taken.
    virtual Result<void> change_pool(const PoolRecord& pool) = 0;
    // Conflict while it has objects or backups; not_found where there is none.
    virtual Result<void> remove_pool(PoolId pool) = 0;

    // --- settings -------------------------------------------------------------------------------

    // Those that were changed at run time, by name.
    virtual Result<std::vector<SettingRecord>> settings() = 0;
    // Asked what to change of those there are, within the transaction that has read them, so that
    // what one process decides is not made wrong by another. On any thread; it must not ask the
    // catalog.
    using DecideSettings =
        std::function<std::vector<SettingChange>(std::span<const SettingRecord>)>;
    // Makes the changes that it gives, all or none. Other processes are to notice.
    virtual Result<void> change_settings(const DecideSettings& decide, std::int64_t now_s) = 0;

    // --- jobs -----------------------------------------------------------------------------------

    // The ids of the new jobs, or of the open ones (queued, running, paused) with their dedup keys.
    // All or none.
    virtual Result<std::vector<JobId>> queue_jobs(std::span<const NewJob> jobs,
                                                  std::int64_t now_s) = 0;
    Result<JobId> queue_job(const NewJob& job, std::int64_t now_s);
    // Where there is work, by lane, then priority. Cheap however many jobs there are.
    virtual Result<std::vector<OpenLane>> open_lanes() = 0;
    // Of the jobs that are queued or run in this lane.
    virtual Result<OpenJobs> open_in(std::string_view lane) = 0;
    struct LaneWant {
        std::string lane;
        std::size_t jobs = 1;  // at most
    };
    // Due jobs of these lanes that are queued or whose lease has run out, the lowest priority
    // number first, then the longest due. They are `owner`'s until the lease ends; their attempts
    // have been counted up. One that was lost kMostLost times in a row fails instead ("poisoned").
    virtual Result<std::vector<JobRecord>> take_jobs(std::span<const LaneWant> wants,
                                                     std::string_view owner, std::int64_t now_s,
                                                     std::int64_t lease_s) = 0;
    static constexpr std::int64_t kMostLost = 20;
    // Of the jobs that run; some may have gone.
    virtual Result<std::vector<std::string>> lease_owners() = 0;
    // What this owner had may be taken at once, or, where it was lost before, after a growing
    // while; gives how many jobs that are.
    virtual Result<std::size_t> drop_leases(std::string_view owner, std::int64_t now_s) = 0;
    // No job that is queued or runs is due later than this any more, nor held for longer that was
    // stopped; gives how many were. Cheap however many jobs there are.
    virtual Result<std::size_t> bring_jobs_forward(std::int64_t latest_s) = 0;
    // The following say false where the job is no longer `owner`'s: stop working on it. All but the
    // first let go of it, whatever became of it. With a move that fails for good the job is queued
    // that cleans up behind it.
    virtual Result<bool> renew_job(JobId job, std::string_view owner, std::int64_t lease_until_s,
                                   std::string_view progress) = 0;
    virtual Result<bool> finish_job(JobId job, std::string_view owner, std::int64_t now_s) = 0;
    // Several at once, each as by relocate() or finish_job(), and what came of each: one that fails
    // holds up no other. False: the job was no longer its owner's.
    virtual std::vector<Result<bool>> end_jobs(std::span<const JobEnding> jobs,
                                               std::int64_t now_s) = 0;
    virtual Result<bool> fail_job(JobId job, std::string_view owner, const JobFailure& failure,
                                  std::int64_t now_s) = 0;
    // What an operator does: cancelled or paused from queued or running (whose worker is told to
    // stop when he renews his lease), cancelled also from failed where it is a purge; queued, at
    // once, from paused, failed or cancelled, with all its attempts before it, or where it waits
    // after an attempt that failed. Until whoever had it has let go of it neither that job nor
    // another one of its key is taken. With a move that is cancelled the job is queued that cleans
    // up behind it. False where the job's state does not allow it.
    virtual Result<bool> set_job_state(JobId job, JobRecord::State state, std::int64_t now_s) = 0;
    // Comes back when it is due; where it `was_begun` that was an attempt, else as if it had not
    // been taken.
    virtual Result<bool> put_off_job(JobId job, std::string_view owner, std::int64_t until_s,
                                     bool was_begun) = 0;
    virtual Result<std::optional<JobRecord>> find_job(JobId job) = 0;
    virtual Result<std::vector<JobRecord>> list_jobs(const JobFilter& filter,
                                                     std::size_t limit) = 0;
    // By type, then state; of one batch, or of all ("").
    virtual Result<std::vector<JobCount>> count_jobs(std::string_view batch) = 0;
    // The open one (queued, running, paused) of this key.
    virtual Result<std::optional<JobRecord>> find_open_job(std::string_view dedup_key) = 0;
    // The open ones of this key and of those that are numbered after it, and those that were
    // cancelled and have not been let go of; by id.
    virtual Result<std::vector<JobRecord>> jobs_named(std::string_view dedup_key) = 0;
    // Forgets jobs that are done, failed or cancelled since before this; gives how many. A purge
    // that failed is kept until somebody retries or cancels it: what it is about is shown until
    // then.
    virtual Result<std::size_t> forget_jobs(std::int64_t finished_before_s) = 0;

    // By batch, the last one by name first, then state; of the batches whose names begin so.
    virtual Result<std::vector<BatchCount>> count_batches(std::string_view prefix) = 0;

    // --- uploads --------------------------------------------------------------------------------

    // Keeps bytes free in the first of these pools that has room for them beside what it holds and
    // what others have reserved, unless its owner had more than `limits` then. Of `upload` its id
    // and pool are not looked at; it may name the image already that is uploaded.
    virtual Result<Reservation> reserve_upload(const UploadRecord& upload,
                                               std::span<const PoolRoom> pools,
                                               const OwnerLimits& limits, std::int64_t now_s) = 0;
    // The reservation of this id, or where that is 0 the session's of its token, which nobody has
    // used yet, becomes this upload's, which gives image, key and process; its id and details are
    // given back. Nothing where there is none, or another pool's.
    virtual Result<std::optional<UploadRecord>> begin_upload(const UploadRecord& upload) = 0;
    // Whether there is a session of this token that is not used.
    virtual Result<bool> has_session(const conf::Sha256Digest& token) = 0;
    // Bytes that are kept free in a pool.
    virtual Result<std::uint64_t> reserved_bytes(PoolId pool, std::int64_t now_s) = 0;
    // These go on: they are not abandoned before then.
    virtual Result<void> renew_uploads(std::span<const UploadId> uploads, std::int64_t until_s) = 0;
    // All rows of an image whose bytes are stored, in one transaction; the reservation ends. Where
    // its owner has the same content already that image is given and nothing else happens: the
    // bytes are the caller's to remove, and then the reservation. Conflict where the upload was
    // given up by others meanwhile. `sent` is what the owner sent, of which less may be stored.
    // `process` is queued, unless it has no type.
    virtual Result<StoredUpload> finish_upload(UploadId upload, const ImageRecord& image,
                                               const ObjectRecord& original,
                                               const conf::Sha256Digest& sent,
                                               const NewJob& process) = 0;
    // The image of this owner that was sent with this content.
    virtual Result<std::optional<Uuid>> find_owned(std::string_view owner,
                                                   const conf::Sha256Digest& sha256) = 0;
    virtual Result<void> drop_upload(UploadId upload) = 0;
    // Of one that came to nothing: its reservation is again what it was before the upload began,
    // until then, for who tries once more; where that is 0 it goes.
    virtual Result<void> give_back_upload(UploadId upload, std::int64_t session_until_s) = 0;
    // The same where bytes of it may lie in its pool, or come there late: where they would be is
    // kept apart from the reservation, counts no bytes, and is to be cleaned, but not before then.
    // The upload does not end well any more. Nothing changes where others have given it up.
    virtual Result<void> abandon_upload(UploadId upload, std::int64_t not_before_s,
                                        std::int64_t session_until_s) = 0;
    // False where it is not as it was when it was read: it has ended, or somebody goes on with it.
    virtual Result<bool> claim_abandoned(const UploadRecord& upload, std::int64_t now_s) = 0;
    virtual Result<bool> is_being_uploaded(const Uuid& image) = 0;
    // Uploads that have begun.
    virtual Result<std::vector<UploadRecord>> open_uploads() = 0;
    // Forgets sessions that ended before this without an upload; gives how many.
    virtual Result<std::size_t> forget_sessions(std::int64_t before_s) = 0;
    virtual Result<OwnerUse> owner_use(std::string_view owner, std::int64_t now_s) = 0;
    // Its content does not count as its owner's any more, and may be uploaded again.
    virtual Result<void> disown_image(const Uuid& image) = 0;

    // Begins an upload that comes in pieces. The reservation of its token's session becomes the
    // upload's, and shrinks to its length; where there is none its bytes are reserved anew, if this
    // pool has room for them and its owner's quota leaves them. Of `upload` its field `upload`, and
    // where there is a session its details, are not looked at; of `limits` the sessions.
    virtual Result<Reservation> begin_resumable(const ResumableUpload& upload, const PoolRoom& pool,
                                                const OwnerLimits& limits) = 0;
    // So many of one token that have not ended.
    static constexpr std::size_t kMostResumable = 16;
    virtual Result<std::optional<ResumableUpload>> find_resumable(std::string_view id) = 0;
    virtual Result<ResumableUse> resumable_use(std::string_view owner, std::int64_t now_s) = 0;
    // It has become this image; what of its reservation is still there ends.
    virtual Result<void> end_resumable(std::string_view id, const Uuid& image) = 0;
    // Forgets it, with its reservation, unless that is of an upload to a pool that has begun.
    virtual Result<void> drop_resumable(std::string_view id) = 0;
    // At most kPage that ended by then, whether they have become an image or not.
    virtual Result<std::vector<std::string>> expired_resumables(std::int64_t now_s) = 0;

    // What is known of an image, where it is still there and not deleted; false where it is not.
    virtual Result<bool> describe_image(const Uuid& image, ImageRecord::State state,
                                        std::string_view metadata) = 0;

    // --- keys of the API ------------------------------------------------------------------------

    // Conflict where there is one of this hash.
    virtual Result<void> add_key(const KeyRecord& key) = 0;
    virtual Result<std::optional<KeyRecord>> find_key(const conf::Sha256Digest& hash) = 0;
    // At most `limit`, the oldest first; those that are revoked, too.
    virtual Result<std::vector<KeyRecord>> list_keys(const KeyFilter& filter,
                                                     std::size_t limit) = 0;
    // At most `limit` that are not revoked, with hashes from `first` to `last`.
    virtual Result<std::vector<KeyRecord>> keys_between(const conf::Sha256Digest& first,
                                                        const conf::Sha256Digest& last,
                                                        std::size_t limit) = 0;
    // False where there is no such key that is good.
    virtual Result<bool> revoke_key(const conf::Sha256Digest& hash, std::int64_t now_s) = 0;

    // --- calls of the API that are not to be done twice -----------------------------------------

    // Notes that it has begun, unless there is one of its name: then that is given and stays, but
    // for one that was being done by a process of which `has_ended` says so, or that began before
    // `expired_s`, which this one replaces. Of more than kMostSavedCalls the oldest are forgotten.
    virtual Result<std::optional<SavedCall>> begin_call(
        const SavedCall& call, const std::function<bool(std::string_view process)>& has_ended,
        std::int64_t expired_s) = 0;
    static constexpr std::size_t kMostSavedCalls = 10'000;
    static constexpr std::int64_t kSavedCallS = 86'400;  // for so long they are kept
    // Keeps what it was answered, where it is still this process's.
    virtual Result<void> end_call(const SavedCall& call) = 0;
    // As if it had not begun.
    virtual Result<void> drop_call(const SavedCall& call) = 0;
    // Forgets those that began before this; gives how many.
    virtual Result<std::size_t> forget_calls(std::int64_t before_s) = 0;

    // --- tiering --------------------------------------------------------------------------------
    //
    // These read what is known of every image of the pool, once, and hold no more than the limit of
    // the filter at a time.

    // Those whose last view is the longest ago.
    virtual Result<std::vector<TierImage>> coldest_images(const TierFilter& filter) = 0;
    // Those that are viewed most, of a score of `least` or more as of now; see add_views().
    virtual Result<std::vector<TierImage>> hottest_images(const TierFilter& filter, double least,
                                                          std::int64_t now_s,
                                                          std::int64_t half_life_s) = 0;
    // Pools that sweeps are emptying to their low watermarks, by number: what a sweep has noted is
    // what the next one knows, of whichever process.
    virtual Result<std::vector<PoolId>> emptying_pools() = 0;
    // From now on it is these, in this order, less those that there are no longer.
    virtual Result<void> set_emptying_pools(std::span<const PoolId> pools) = 0;

    // --- claims ---------------------------------------------------------------------------------
    //
    // For work that several processes could begin at once and that is to be done once. Kept if we
    // are killed, not with the power: what a claim guards must bear to be done twice.

    // True: it is `owner`'s until then, who had it already, or nobody had it, or whose claim is
    // void: it has run out, or is of somebody of whom `has_ended` says so, or was made by a clock
    // that was ahead. All claim some work for about as long, so that is one that lasts much longer
    // than this one. Times are milliseconds since 1970.
    virtual Result<bool> claim(
        std::string_view work, std::string_view owner, std::int64_t now_ms, std::int64_t until_ms,
        const std::function<bool(std::string_view owner)>& has_ended = {}) = 0;
    static constexpr std::int64_t kClaimSlackMs = 60'000;  // by which it is no longer than others
    // Lets go of it, where it is `owner`'s.
    virtual Result<void> release(std::string_view work, std::string_view owner) = 0;

    // --- views, budgets, scans ------------------------------------------------------------------

    // Adds to the images' scores, each halved for every `half_life_s` since its last view. The last
    // ones may be lost with the power.
    // Those of images that are not known are left out.
    virtual Result<void> add_views(std::span<const ViewUpdate> views, std::int64_t half_life_s) = 0;
    virtual Result<std::optional<ViewRecord>> find_views(const Uuid& image) = 0;

    // Adds to what is known of this UTC day (days since 1970) and gives the sum, to which every
    // process adds. Days of more than kBudgetDays before are forgotten. Adding nothing only asks.
    virtual Result<DayUse> add_budget_use(PoolId pool, std::int64_t day, const DayUse& use) = 0;
    static constexpr std::int64_t kBudgetDays = 400;

    virtual Result<std::optional<ScanRecord>> find_scan(PoolId pool) = 0;
    virtual Result<void> end_scan(PoolId pool) = 0;
};

// What a pool holds by its accounts, of every role. Errors are those of accounts().
Result<std::uint64_t> bytes_held(Catalog& catalog, PoolId pool);

}  // namespace tidepool::storage
