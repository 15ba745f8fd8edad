// Which images a sweep moves, where to, why, and what that costs. Pure: it is given what there is,
// and asks nobody.
#pragma once

#include "conf/settings.h"
#include "storage/catalog_records.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

using Tier = conf::PoolSettings::Tier;

struct TierPool {
    PoolId id = 0;
    std::string name;
    Tier tier = Tier::hot;
    int priority = 100;
    bool is_bucket = false;            // its calls are charged
    bool takes = true;                 // images may come
    bool gives = true;                 // images may go
    std::uint64_t max_size_bytes = 0;  // 0 = no limit
    std::uint64_t used_bytes = 0;      // by the accounts
    // Of its disk; nothing: it has none, or nobody asked.
    std::optional<std::uint64_t> free_bytes{};
    std::uint64_t disk_bytes = 0;  // in all
    // As is_to_be_emptied() said at the last sweep.
    bool is_emptying = false;
    // Of the moves that are queued already.
    std::uint64_t leaving_bytes = 0;
    std::uint64_t coming_bytes = 0;
};

// What has to be carried of an image, the original with its variants.
struct TierSize {
    std::uint64_t objects = 0;
    std::uint64_t bytes = 0;
    std::uint64_t uploads = 0;  // calls that put them into a bucket: large ones go in parts
    bool operator==(const TierSize&) const = default;
};
// Of these rows.
TierSize size_of(std::span<const ObjectRecord> rows);

struct TierCandidate {
    TierImage image;
    TierSize size;
};

// The images of a pool that may go, in the order in which they should.
struct TierSource {
    PoolId pool = 0;
    std::vector<TierCandidate> candidates{};
    bool some_dwell = false;  // there are more, which have not been there for long enough
};

enum class TierReason : std::uint8_t { idle, watermark, promotion };
inline constexpr std::size_t kTierReasons = 3;
std::string_view name_of(TierReason reason);

// Calls by Backblaze's classes.
struct TierCalls {
    std::int64_t class_a = 0;
    std::int64_t class_b = 0;
    std::int64_t class_c = 0;
    std::uint64_t egress_bytes = 0;
    TierCalls& operator+=(const TierCalls& other);
    bool operator==(const TierCalls&) const = default;
};

struct TierMove {
    TierCandidate what;
    PoolId from = 0;
    PoolId to = 0;
    TierReason reason = TierReason::idle;
    std::string why;  // for people
    TierCalls calls;  // where nothing has to be tried again
};

struct TierBill {
    double calls_dollars = 0;
    double egress_dollars = 0;           // at most: a part that grows with what is stored is free
    double storage_dollars_a_month = 0;  // negative where buckets get emptier
};

struct TierPlan {
    std::vector<TierMove> moves;
    std::vector<std::string> notes;  // what stands in the way of more, for people
    std::uint64_t bytes = 0;
    TierCalls calls;
    TierBill bill;
    std::uint64_t count(TierReason reason) const;
};

// What a sweep may add.
struct TierBudget {
    std::uint64_t images = 0;
    std::uint64_t bytes = 0;  // 0 = no limit
};

struct TierInput {
    std::vector<TierPool> pools{};
    std::vector<TierSource> coldest{};  // of hot and warm pools
    std::vector<TierSource> hottest{};  // of the others and of warm ones
    DayUse used_today{};                // of the account's calls, for the bill
    TierBudget budget{};
    std::int64_t now_s = 0;
};

// Fuller than its tier's high watermark, what is on its way included, or emptying since it was, and
// not below the low one with what is on its way. The coldest are to leave it.
bool is_pressed(const TierPool& pool, const conf::TieringSettings& settings);

// What the next sweep is to know as TierPool::is_emptying. It ends when the pool is below the low
// watermark by what it holds: what is to leave it may not come to that.
bool is_to_be_emptied(const TierPool& pool, const conf::TieringSettings& settings);

// From a hot pool go images that are older than the keep days and were not viewed for the no-view
// days, and, while the pool is pressed, the coldest of all until it is below the low watermark,
// however many sweeps that takes; to a warm pool with room, else to a cold one, to the archive only
// where there is no other. From a warm pool the same, to a cold one. Images of enough recent views
// go up. Nothing moves that has not dwelt in its pool for the dwell time, so nothing goes to and
// fro faster than that. Room of hot and warm pools ends at their high watermark, of their max_size
// and of their disk.
//
// Promotions come first, with at most a quarter of the budget, so that neither keeps the other from
// getting on; pressed pools come before others.
TierPlan plan_tiering(const TierInput& input, const conf::TieringSettings& settings);

// 0..99, always the same for an image, and as many images for each. An image takes part where it is
// below tiering.cohort_percent.
unsigned cohort_of(const Uuid& image);

}  // namespace tidepool::storage
