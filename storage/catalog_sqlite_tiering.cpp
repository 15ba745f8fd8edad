// What a sweep of the tiering policy asks of SQLite.
//
// There is no index by the last view, as every view would then write to it. A sweep reads the
// images of a pool in the order of their UUIDs, which is that of the index by pool, of the images
// and of the views, so that three trees are walked side by side; what is not cold enough falls out
// at once.
#include "storage/catalog_sqlite.h"
#include "storage/job_keys.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

using sqlite::Query;

#define TIER_COLUMNS "i.uuid, i.original, i.uploaded_s, i.moved_s, v.score, v.last_s"
#define TIER_WHERE                                                                     \
    " WHERE i.pool = ?1 AND i.state = 1 AND i.uploaded_s < ?2 AND i.moved_s < ?3 AND " \
    "coalesce(v.last_s, i.uploaded_s) < ?4"
constexpr const char* kImages = "SELECT " TIER_COLUMNS
                                " FROM images AS i INDEXED BY images_by_pool "
                                "LEFT JOIN views AS v ON v.image = i.uuid" TIER_WHERE;
constexpr const char* kViewed = "SELECT " TIER_COLUMNS
                                " FROM images AS i INDEXED BY images_by_pool "
                                "CROSS JOIN views AS v ON v.image = i.uuid" TIER_WHERE;
#define OPEN_KEY "dedup_key <> '' AND state IN (0, 1, 5)"  // as in the index jobs_open
constexpr const char* kIsOpen = "SELECT 1 FROM jobs WHERE dedup_key = ?1 AND " OPEN_KEY;
constexpr const char* kAnyOpen =
    "SELECT 1 FROM jobs WHERE dedup_key >= ?1 AND dedup_key < ?2 AND " OPEN_KEY " LIMIT 1";
constexpr const char* kPoolNames = "SELECT id, name FROM pools";
constexpr const char* kHasFailed =
    "SELECT 1 FROM jobs WHERE dedup_key = ?1 AND dedup_key <> '' AND state = 3 "
    "AND finished_s >= ?2 LIMIT 1";
constexpr const char* kCountBatches =
    "SELECT batch, state, sum(count) FROM job_counts WHERE batch >= ?1 AND batch < ?2 "
    "AND count > 0 GROUP BY batch, state ORDER BY batch DESC, state";
constexpr const char* kEmptying = "SELECT pool FROM emptying ORDER BY pool";
constexpr const char* kForgetEmptied = "DELETE FROM emptying";
constexpr const char* kNoteEmptying = "INSERT INTO emptying SELECT id FROM pools WHERE id = ?1";

// Above all texts that begin so; batches and job keys are UTF-8.
std::string end_of(const std::string& prefix) {
    return prefix + "\xFF";
}

TierImage image_of(const Query& query, PoolId pool) {
    TierImage image;
    const auto uuid = query.blob(0);
    if (uuid.size() == image.image.size()) std::ranges::copy(uuid, image.image.begin());
    image.pool = pool;
    image.original = query.text(1);
    image.uploaded_s = query.number(2);
    image.moved_s = query.number(3);
    if (!query.is_null(4))
        image.views = ViewRecord{.score = query.real(4), .last_s = query.number(5)};
    return image;
}

// Says whether an open job is about an image: one that moves, deletes or makes it, that compares it
// with its pool, or that removes what it left behind; and whether a move of it has failed.
class ImageJobs {
  public:
    explicit ImageJobs(sqlite::Connection& db) : db_(db) {
        Query query(db, kPoolNames);
        while (query.next())
            pools_.emplace_back(query.number(0), query.text(1));
    }

    // Since then, and from where it is now.
    bool has_failed_move(const TierImage& image, std::int64_t since_s) const {
        Query query(db_, kHasFailed, move_key(to_text(image.image)),
                    std::max(since_s, image.moved_s));
        return query.next();
    }

    bool has_open(const TierImage& image) const {
        const std::string uuid = to_text(image.image);
        for (const std::string& key :
             {move_key(uuid), delete_key(uuid), "process " + uuid, "reconcile " + uuid}) {
            if (is_open(key)) return true;
        }
        const auto variants = variants_prefix(image.original);
        for (const auto& [id, name] : pools_) {
            const std::string clean = clean_key(id, uuid);
            if (is_open(clean) || is_any_open(clean + ' ')) return true;  // see NewJob::is_apart
            if (is_open(fmt::format("reconcile {} {}", name, image.original))) return true;
            if (variants && is_any_open(fmt::format("reconcile {} {}", name, *variants)))
                return true;
        }
        return false;
    }

  private:
    bool is_open(const std::string& key) const {
        Query query(db_, kIsOpen, key);
        return query.next();
    }
    bool is_any_open(const std::string& prefix) const {
        Query query(db_, kAnyOpen, prefix, end_of(prefix));
        return query.next();
    }

    sqlite::Connection& db_;
    std::vector<std::pair<PoolId, std::string>> pools_;
};

// The first `limit` of many by their ranks, smallest first; equal ones by UUID, so that two sweeps
// choose alike.
class Best {
  public:
    explicit Best(std::size_t limit) : limit_(limit) {}

    // Whether it would be among them by now.
    bool wants(double rank, const Uuid& image) const {
        return entries_.size() < limit_ ||
               (limit_ > 0 && std::pair(rank, image) < entries_.front().order());
    }
    void add(double rank, TierImage image) {
        if (entries_.size() == limit_) {
            std::ranges::pop_heap(entries_, {}, &Entry::order);
            entries_.pop_back();
        }
        entries_.push_back({rank, std::move(image)});
        std::ranges::push_heap(entries_, {}, &Entry::order);
    }
    std::vector<TierImage> take() {
        std::ranges::sort_heap(entries_, {}, &Entry::order);
        std::vector<TierImage> images;
        images.reserve(entries_.size());
        for (Entry& entry : entries_)
            images.push_back(std::move(entry.image));
        return images;
    }

  private:
    struct Entry {
        double rank;
        TierImage image;
        std::pair<double, Uuid> order() const { return {rank, image.image}; }
    };
    std::size_t limit_;
    std::vector<Entry> entries_;  // a heap: the last one in front
};

std::vector<PoolId> emptying_in(sqlite::Connection& db) {
    std::vector<PoolId> pools;
    Query query(db, kEmptying);
    while (query.next())
        pools.push_back(query.number(0));
    return pools;
}

constexpr std::int64_t kAnyTime = std::numeric_limits<std::int64_t>::max();

// `rank_of` gives nothing for an image that is not wanted.
template <class RankOf>
std::vector<TierImage> best_images(sqlite::Connection& db, const char* sql,
                                   const TierFilter& filter, RankOf rank_of) {
    const sqlite::Snapshot snapshot(db);
    const ImageJobs jobs(db);
    Best best(filter.limit);
    Query query(db, sql, filter.pool, filter.uploaded_before_s.value_or(kAnyTime),
                filter.moved_before_s.value_or(kAnyTime),
                filter.viewed_before_s.value_or(kAnyTime));
    while (query.next()) {
        TierImage image = image_of(query, filter.pool);
        const std::optional<double> rank = rank_of(image);
        if (!rank || !best.wants(*rank, image.image)) continue;
        if (filter.is_in_cohort && !filter.is_in_cohort(image.image)) continue;
        if (jobs.has_open(image)) continue;
        if (filter.failed_since_s && jobs.has_failed_move(image, *filter.failed_since_s)) continue;
        best.add(*rank, std::move(image));
    }
    return best.take();
}

}  // namespace

Result<std::vector<TierImage>> SqliteCatalog::coldest_images(const TierFilter& filter) {
    return read([&](sqlite::Connection& db) {
        return best_images(db, kImages, filter, [](const TierImage& image) {
            return std::optional(static_cast<double>(image.seen_s()));
        });
    });
}

Result<std::vector<TierImage>> SqliteCatalog::hottest_images(const TierFilter& filter, double least,
                                                             std::int64_t now_s,
                                                             std::int64_t half_life_s) {
    return read([&](sqlite::Connection& db) {
        const auto rank_of = [&](const TierImage& image) -> std::optional<double> {
            const double score = score_at(*image.views, now_s, half_life_s);
            if (score < least) return std::nullopt;
            return -score;
        };
        return best_images(db, kViewed, filter, rank_of);
    });
}

Result<std::vector<BatchCount>> SqliteCatalog::count_batches(std::string_view prefix) {
    return read([&](sqlite::Connection& db) {
        std::vector<BatchCount> counts;
        const std::string first(prefix);
        Query query(db, kCountBatches, first, end_of(first));
        while (query.next()) {
            counts.push_back({std::string(query.text(0)),
                              static_cast<JobRecord::State>(query.number(1)),
                              static_cast<std::uint64_t>(query.number(2))});
        }
        return counts;
    });
}

Result<std::vector<PoolId>> SqliteCatalog::emptying_pools() {
    return read([](sqlite::Connection& db) { return emptying_in(db); });
}

Result<void> SqliteCatalog::set_emptying_pools(std::span<const PoolId> pools) {
    // Every sweep says so, and nearly always nothing has changed.
    const auto known = emptying_pools();
    if (!known) return std::unexpected(known.error());
    if (std::ranges::equal(*known, pools)) return {};
    return write([&](Writing& writing) {
        sqlite::run(writing.db, kForgetEmptied);
        for (const PoolId pool : pools)
            sqlite::run(writing.db, kNoteEmptying, pool);
    });
}

}  // namespace tidepool::storage
