// The catalog in an SQLite file on a local disk.
//
// Several processes may have it open, the server and the command line side by side: write-ahead
// logging lets readers read while one writes; writers take turns. One process opens at most
// kReaders + 1 connections, whose page caches bound its memory.
#pragma once

#include "storage/catalog.h"
#include "storage/sqlite.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace tidepool::storage {

struct SqliteOptions {
    // How long a call waits for other writers, of this process and of others, before it is
    // timed_out. Longer survives a slow disk; callers wait longer.
    std::chrono::milliseconds busy_wait{10'000};
    bool operator==(const SqliteOptions&) const = default;
};

// Opens or makes the catalog at `path` and brings its tables up to date.
Result<std::unique_ptr<Catalog>> open_sqlite_catalog(const std::string& path,
                                                     const SqliteOptions& options = {});

// By the setting catalog.url, "sqlite:/PATH".
Result<std::unique_ptr<Catalog>> open_catalog(const std::string& url);

// Whether open_catalog would open it, or make it where there is none. Makes none, and leaves the
// tables of an older one as they are, for the servers that run on it.
Result<void> check_catalog(const std::string& url);

class SqliteCatalog final : public Catalog {
  public:
    static constexpr std::size_t kReaders = 8;  // more threads than these wait for one another
    // The kernel has the pages of the file anyway: look-ups and scans are as fast with these as
    // with thirty times as much (bench/README.md, catalog), and a server that has run for long is
    // hardly larger than a new one.
    static constexpr std::int64_t kReaderCacheBytes = 256LL << 10;
    static constexpr std::int64_t kWriterCacheBytes = 2LL << 20;
    static constexpr std::int64_t kJournalBytes = 64LL << 20;  // kept of the write-ahead log

    // Throws sqlite::Failure.
    SqliteCatalog(std::string path, const SqliteOptions& options);

    Result<std::optional<ObjectRecord>> find(std::string_view key) override;
    Result<Location> locate(std::string_view key) override;
    Result<bool> set_private(const Uuid& image, bool is_private) override;
    Result<std::vector<Adoption>> adopt(std::span<const ObjectRecord> objects,
                                        const SaveScan& scan) override;
    Result<std::vector<Adoption>> would_adopt(std::span<const ObjectRecord> objects) override;
    Result<std::optional<ObjectRecord>> put_object(const ObjectRecord& object) override;
    Result<void> put_in_place(const ObjectRecord& object) override;
    Result<std::optional<ObjectRecord>> put_variant(const ObjectRecord& variant,
                                                    std::string_view original,
                                                    bool may_lack_row) override;
    Result<bool> learn_digest(const ObjectRecord& object) override;
    Result<bool> remove_object(std::string_view key, PoolId pool) override;
    Result<void> relocate(const Relocation& relocation) override;
    Result<std::vector<ObjectRecord>> list(std::optional<PoolId> pool, std::string_view prefix,
                                           std::string_view after, std::size_t limit) override;
    Result<std::vector<ObjectRecord>> objects_of(const Uuid& image) override;
    Result<std::optional<ImageRecord>> find_image(const Uuid& image) override;
    Result<void> put_image(const ImageRecord& image) override;
    Result<ImagePage> list_images(const ImageFilter& filter, std::size_t limit) override;
    Result<JobId> begin_deletion(const Uuid& image, const NewJob& job, std::int64_t now_s) override;
    Result<bool> is_deleted(const Uuid& image) override;
    Result<void> end_deletion(const Uuid& image) override;
    Result<std::vector<Uuid>> unended_deletions(const Uuid& after, std::size_t limit) override;
    Result<std::size_t> forget_deletions(std::int64_t before_s) override;
    void follow_rows(Follow follow) override;
    void follow_outdated(Outdate outdate) override;
    Result<std::uint64_t> foreign_changes() override;

    Result<void> put_backup(const BackupRecord& backup) override;
    Result<bool> remove_backup(PoolId pool, std::string_view key) override;
    Result<std::optional<BackupRecord>> find_backup(PoolId pool, std::string_view key) override;
    Result<std::vector<BackupRecord>> backups_of(std::string_view original) override;
    Result<std::vector<BackupRecord>> list_backups(PoolId pool, std::string_view after,
                                                   std::size_t limit) override;
    Result<std::vector<Account>> accounts() override;
    Result<Recount> recount() override;

    Result<std::vector<PoolRecord>> pools() override;
    Result<PoolRecord> declare_pool(std::string_view name, std::string_view settings) override;
    Result<PoolRecord> create_pool(const PoolRecord& pool) override;
    Result<void> change_pool(const PoolRecord& pool) override;
    Result<void> remove_pool(PoolId pool) override;

    Result<std::vector<SettingRecord>> settings() override;
    Result<void> change_settings(const DecideSettings& decide, std::int64_t now_s) override;

    Result<std::vector<JobId>> queue_jobs(std::span<const NewJob> jobs,
                                          std::int64_t now_s) override;
    Result<std::vector<OpenLane>> open_lanes() override;
    Result<OpenJobs> open_in(std::string_view lane) override;
    Result<std::vector<JobRecord>> take_jobs(std::span<const LaneWant> wants,
                                             std::string_view owner, std::int64_t now_s,
                                             std::int64_t lease_s) override;
    Result<std::vector<std::string>> lease_owners() override;
    Result<std::size_t> drop_leases(std::string_view owner, std::int64_t now_s) override;
    Result<std::size_t> bring_jobs_forward(std::int64_t latest_s) override;
    Result<bool> renew_job(JobId job, std::string_view owner, std::int64_t lease_until_s,
                           std::string_view progress) override;
    Result<bool> finish_job(JobId job, std::string_view owner, std::int64_t now_s) override;
    std::vector<Result<bool>> end_jobs(std::span<const JobEnding> jobs,
                                       std::int64_t now_s) override;
    Result<bool> fail_job(JobId job, std::string_view owner, const JobFailure& failure,
                          std::int64_t now_s) override;
    Result<bool> set_job_state(JobId job, JobRecord::State state, std::int64_t now_s) override;
    Result<bool> put_off_job(JobId job, std::string_view owner, std::int64_t until_s,
                             bool was_begun) override;
    Result<std::optional<JobRecord>> find_job(JobId job) override;
    Result<std::vector<JobRecord>> list_jobs(const JobFilter& filter, std::size_t limit) override;
    Result<std::vector<JobCount>> count_jobs(std::string_view batch) override;
    Result<std::optional<JobRecord>> find_open_job(std::string_view dedup_key) override;
    Result<std::vector<JobRecord>> jobs_named(std::string_view dedup_key) override;
    Result<std::size_t> forget_jobs(std::int64_t finished_before_s) override;
    Result<std::vector<BatchCount>> count_batches(std::string_view prefix) override;

    Result<Reservation> reserve_upload(const UploadRecord& upload, std::span<const PoolRoom> pools,
                                       const OwnerLimits& limits, std::int64_t now_s) override;
    Result<std::optional<UploadRecord>> begin_upload(const UploadRecord& upload) override;
    Result<bool> has_session(const conf::Sha256Digest& token) override;
    Result<std::uint64_t> reserved_bytes(PoolId pool, std::int64_t now_s) override;
    Result<void> renew_uploads(std::span<const UploadId> uploads, std::int64_t until_s) override;
    Result<StoredUpload> finish_upload(UploadId upload, const ImageRecord& image,
                                       const ObjectRecord& original, const conf::Sha256Digest& sent,
                                       const NewJob& process) override;
    Result<std::optional<Uuid>> find_owned(std::string_view owner,
                                           const conf::Sha256Digest& sha256) override;
    Result<void> drop_upload(UploadId upload) override;
    Result<void> give_back_upload(UploadId upload, std::int64_t session_until_s) override;
    Result<void> abandon_upload(UploadId upload, std::int64_t not_before_s,
                                std::int64_t session_until_s) override;
    Result<bool> claim_abandoned(const UploadRecord& upload, std::int64_t now_s) override;
    Result<void> disown_image(const Uuid& image) override;
    Result<bool> is_being_uploaded(const Uuid& image) override;
    Result<std::vector<UploadRecord>> open_uploads() override;
    Result<std::size_t> forget_sessions(std::int64_t before_s) override;
    Result<OwnerUse> owner_use(std::string_view owner, std::int64_t now_s) override;
    Result<Reservation> begin_resumable(const ResumableUpload& upload, const PoolRoom& pool,
                                        const OwnerLimits& limits) override;
    Result<std::optional<ResumableUpload>> find_resumable(std::string_view id) override;
    Result<ResumableUse> resumable_use(std::string_view owner, std::int64_t now_s) override;
    Result<void> end_resumable(std::string_view id, const Uuid& image) override;
    Result<void> drop_resumable(std::string_view id) override;
    Result<std::vector<std::string>> expired_resumables(std::int64_t now_s) override;
    Result<bool> describe_image(const Uuid& image, ImageRecord::State state,
                                std::string_view metadata) override;
    Result<void> add_key(const KeyRecord& key) override;
    Result<std::optional<KeyRecord>> find_key(const conf::Sha256Digest& hash) override;
    Result<std::vector<KeyRecord>> list_keys(const KeyFilter& filter, std::size_t limit) override;
    Result<std::vector<KeyRecord>> keys_between(const conf::Sha256Digest& first,
                                                const conf::Sha256Digest& last,
                                                std::size_t limit) override;
    Result<bool> revoke_key(const conf::Sha256Digest& hash, std::int64_t now_s) override;

    Result<std::optional<SavedCall>> begin_call(
        const SavedCall& call, const std::function<bool(std::string_view process)>& has_ended,
        std::int64_t expired_s) override;
    Result<void> end_call(const SavedCall& call) override;
    Result<void> drop_call(const SavedCall& call) override;
    Result<std::size_t> forget_calls(std::int64_t before_s) override;

    Result<std::vector<TierImage>> coldest_images(const TierFilter& filter) override;
    Result<std::vector<TierImage>> hottest_images(const TierFilter& filter, double least,
                                                  std::int64_t now_s,
                                                  std::int64_t half_life_s) override;
    Result<std::vector<PoolId>> emptying_pools() override;
    Result<void> set_emptying_pools(std::span<const PoolId> pools) override;

    Result<bool> claim(std::string_view work, std::string_view owner, std::int64_t now_ms,
                       std::int64_t until_ms,
                       const std::function<bool(std::string_view owner)>& has_ended) override;
    Result<void> release(std::string_view work, std::string_view owner) override;

    Result<void> add_views(std::span<const ViewUpdate> views, std::int64_t half_life_s) override;
    Result<std::optional<ViewRecord>> find_views(const Uuid& image) override;
    Result<DayUse> add_budget_use(PoolId pool, std::int64_t day, const DayUse& use) override;
    Result<std::optional<ScanRecord>> find_scan(PoolId pool) override;
    Result<void> end_scan(PoolId pool) override;

  private:
    // What a transaction that writes collects until just before its commit.
    class Writing {
      public:
        explicit Writing(sqlite::Connection& connection) : db(connection) {}
        // The rows of (pool, role) became `count` more, with `bytes` in all; both may be negative.
        void account(PoolId pool, Role role, std::int64_t count, std::int64_t bytes);
        void account(const ObjectRecord& object, std::int64_t count);
        // Objects, pools or settings change: other processes are to notice (foreign_changes).
        void note_change() { changed_ = true; }
        bool changed() const { return changed_; }
        // Writes what was collected.
        void settle();

        sqlite::Connection& db;

      private:
        bool changed_ = false;
        std::map<std::pair<PoolId, Role>, std::pair<std::int64_t, std::int64_t>> accounts_;
    };

    // A reading connection for the time of one call.
    class Reader {
      public:
        explicit Reader(SqliteCatalog& catalog)
            : catalog_(catalog), connection_(catalog.take_reader()) {}
        ~Reader() { catalog_.give_back(std::move(connection_)); }
        Reader(const Reader&) = delete;
        Reader& operator=(const Reader&) = delete;
        sqlite::Connection& operator*() const { return *connection_; }

      private:
        SqliteCatalog& catalog_;
        std::unique_ptr<sqlite::Connection> connection_;
    };

    // Runs `work(connection)` on a reading connection.
    template <class Work>
    auto read(Work work) -> Result<std::invoke_result_t<Work, sqlite::Connection&>> {
        try {
            const Reader reader(*this);
            return work(*reader);
        } catch (const sqlite::Failure& failure) {
            return std::unexpected(failure.error);
        }
    }

    // A call that writes, from when it waits until it is committed or has failed.
    struct Turn {
        std::function<void(Writing&)> work;
        sqlite::Durability durability;
        // Under turns_mutex_:
        bool is_taken = false;  // its work is being done
        bool is_ended = false;
        std::condition_variable changed{};
        // Of who does its work, until it is ended.
        std::optional<Error> failure{};
    };

    // Runs `work(writing)` in a transaction and commits it, unless it throws. Those that wait
    // meanwhile are committed together, so that they wait for the disk once and not one after the
    // other; what one of them throws undoes only what it did itself. `work` may be run by another
    // thread.
    template <class Work>
    auto write(Work work, sqlite::Durability durability = sqlite::Durability::on_return)
        -> Result<std::invoke_result_t<Work, Writing&>> {
        using Value = std::invoke_result_t<Work, Writing&>;
        try {
            if constexpr (std::is_void_v<Value>) {
                Turn turn{.work = std::ref(work), .durability = durability};
                take_turn(turn);
                return {};
            } else {
                std::optional<Value> value;
                Turn turn{.work = [&](Writing& writing) { value.emplace(work(writing)); },
                          .durability = durability};
                take_turn(turn);
                return std::move(*value);
            }
        } catch (const sqlite::Failure& failure) {
            return std::unexpected(failure.error);
        }
    }

    void take_turn(Turn& turn);
    void take_turns(std::unique_lock<std::mutex>& lock);
    void write_together(std::span<Turn* const> turns) noexcept;
    void write_back() noexcept;
    void mend_journal();
    static bool write_one(Turn& turn, sqlite::Connection& writer);
    std::unique_ptr<sqlite::Connection> take_reader();
    void give_back(std::unique_ptr<sqlite::Connection> connection);

    std::optional<ObjectRecord> put_row(Writing& writing, const ObjectRecord& object);
    void relocate_one(Writing& writing, const ObjectRecord& object, const Relocation& relocation);
    void relocate_all(Writing& writing, const Relocation& relocation);
    bool end_one(Writing& writing, const JobEnding& job, std::int64_t now_s);
    void queue_followers(Writing& writing, const ObjectRecord& object, std::int64_t now_s) const;
    void queue_outdated(Writing& writing, const Outdated& what, std::int64_t now_s) const;
    void outdate_image(Writing& writing, const Uuid& image, Outdated::Why why,
                       std::int64_t now_s) const;
    void outdate_content(Writing& writing, const ObjectRecord& row, std::int64_t now_s) const;
    void outdate_moved(Writing& writing, const Relocation& relocation) const;
    static void put_copy(Writing& writing, const BackupRecord& backup);
    static bool remove_copy(Writing& writing, PoolId pool, std::string_view key);
    static JobId queue_one(Writing& writing, const NewJob& job, std::int64_t now_s);
    static bool finish_one(Writing& writing, JobId job, std::string_view owner, std::int64_t now_s);
    static std::vector<JobRecord> named_in(sqlite::Connection& db, std::string_view dedup_key);
    static void clean_after_ended(Writing& writing, JobId job, std::int64_t now_s);
    static void clean_after(Writing& writing, const JobRecord& move, std::int64_t now_s);
    static void end_needless_cleans(Writing& writing, const Relocation& relocation);
    static void clean_copies_of(Writing& writing, const ObjectRecord& row, std::int64_t now_s);
    static bool is_upload(sqlite::Connection& db, const std::optional<Uuid>& image);
    static void disown(Writing& writing, const Uuid& image);
    static void disown_replaced(Writing& writing, const ObjectRecord& row,
                                const ObjectRecord& object);
    Adoption adopt_one(Writing& writing, const ObjectRecord& object);
    static void save_scan(Writing& writing, const ScanRecord& scan);

    // Set once, then constant.
    std::string path_;
    SqliteOptions options_;

    std::mutex turns_mutex_;
    std::vector<Turn*> waiting_;  // the first first
    bool is_writing_ = false;

    std::mutex writer_mutex_;
    std::unique_ptr<sqlite::Connection> writer_;
    bool is_journal_torn_ = false;  // the same mutex's
    Follow follow_;
    Outdate outdate_;

    std::mutex readers_mutex_;
    std::condition_variable reader_returned_;
    std::vector<std::unique_ptr<sqlite::Connection>> idle_readers_;
    std::size_t open_readers_ = 0;

    // Held over the commit of a change and over reading the counter, so that the two numbers always
    // belong together.
    std::mutex changes_mutex_;
    std::uint64_t own_changes_ = 0;
};

}  // namespace tidepool::storage
