#include "storage/tiering.h"

#include "conf/day_window.h"
#include "storage/b2_prices.h"
#include "storage/s3_client.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

// Promotions get at most one part in so many of a sweep.
constexpr std::uint64_t kPromotionShare = 4;

std::int64_t days_before(std::int64_t now_s, unsigned days) {
    return now_s - static_cast<std::int64_t>(days) * conf::kDayS;
}

// The rules of the tier that an image would leave by going down.
struct TierRules {
    unsigned keep_days;
    unsigned no_view_days;
    unsigned high;  // percent
    unsigned low;
};

std::optional<TierRules> rules_of(Tier tier, const conf::TieringSettings& settings) {
    if (tier == Tier::hot)
        return TierRules{settings.hot_keep_days_after_upload, settings.demote_if_no_views_days,
                         settings.hot_watermark_high, settings.hot_watermark_low};
    if (tier == Tier::warm)
        return TierRules{settings.warm_keep_days, settings.warm_no_views_days,
                         settings.warm_watermark_high, settings.warm_watermark_low};
    return std::nullopt;
}

std::uint64_t percent_of(std::uint64_t bytes, unsigned percent) {
    return bytes / 100 * percent + bytes % 100 * percent / 100;
}

// What it will hold when all that is queued is done.
std::uint64_t expected_bytes(const TierPool& pool) {
    const std::uint64_t most = pool.used_bytes + pool.coming_bytes;
    return most - std::min(most, pool.leaving_bytes);
}

// Below it a pool is empty enough. Of 0 percent that is nothing at all.
std::uint64_t low_bytes(const TierPool& pool, const TierRules& rules) {
    return std::max<std::uint64_t>(1, percent_of(pool.max_size_bytes, rules.low));
}

// For who has been emptying the pool, which will hold so much.
bool is_full(const TierPool& pool, const conf::TieringSettings& settings, std::uint64_t bytes) {
    const auto rules = rules_of(pool.tier, settings);
    if (!rules || pool.max_size_bytes == 0) return false;
    return expected_bytes(pool) > percent_of(pool.max_size_bytes, rules->high) ||
           (pool.is_emptying && bytes >= low_bytes(pool, *rules));
}

std::string view_text(const TierImage& image, std::int64_t now_s) {
    if (!image.views) return "never viewed";
    return fmt::format("last viewed {} days ago", (now_s - image.views->last_s) / conf::kDayS);
}

class Planner {
  public:
    Planner(const TierInput& input, const conf::TieringSettings& settings)
        : input_(input), settings_(settings), left_(input.budget), pools_(input.pools) {
        // The order in which targets are asked.
        std::ranges::sort(pools_, {}, [](const TierPool& pool) {
            return std::tuple(pool.tier, pool.priority, pool.id);
        });
        dwelt_s_ = days_before(input.now_s, settings.min_dwell_days_per_tier);
    }

    TierPlan make() {
        promote_all();
        std::vector<const TierSource*> sources;
        sources.reserve(input_.coldest.size());
        for (const TierSource& source : input_.coldest)
            sources.push_back(&source);
        std::ranges::sort(sources, {}, [this](const TierSource* source) {
            const TierPool* pool = find(source->pool);
            return std::tuple(pool == nullptr || !is_pressed(*pool, settings_),
                              pool == nullptr ? Tier::archive : pool->tier, source->pool);
        });
        for (const TierSource* source : sources)
            demote_from(*source);
        add_bill();
        return std::move(plan_);
    }

  private:
    TierPool* find(PoolId id) {
        const auto found = std::ranges::find(pools_, id, &TierPool::id);
        return found == pools_.end() ? nullptr : &*found;
    }

    bool has_dwelt(const TierImage& image) const { return image.moved_s <= dwelt_s_; }

    bool is_idle(const TierImage& image, const TierRules& rules) const {
        return image.uploaded_s < days_before(input_.now_s, rules.keep_days) &&
               image.seen_s() < days_before(input_.now_s, rules.no_view_days);
    }

    // Bytes leave a pool when they are gone from it, so what is to leave makes no room yet.
    bool has_room(const TierPool& pool, std::uint64_t bytes) const {
        const auto rules = rules_of(pool.tier, settings_);
        const unsigned high = rules ? rules->high : 100;
        const std::uint64_t more = pool.coming_bytes + bytes;
        if (pool.max_size_bytes > 0 &&
            pool.used_bytes + more > percent_of(pool.max_size_bytes, high))
            return false;
        return !pool.free_bytes ||
               more + percent_of(pool.disk_bytes, 100 - high) <= *pool.free_bytes;
    }

    // By tier in this order, then priority; null where none takes it.
    TierPool* find_target(std::span<const Tier> tiers, std::uint64_t bytes) {
        for (const Tier tier : tiers) {
            for (TierPool& pool : pools_) {
                if (pool.tier == tier && pool.takes && has_room(pool, bytes)) return &pool;
            }
        }
        return nullptr;
    }

    TierPool* find_lower(const TierPool& from, std::uint64_t bytes) {
        static constexpr Tier kBelow[] = {Tier::warm, Tier::cold, Tier::archive};
        return find_target(std::span(kBelow).subspan(from.tier == Tier::hot ? 0 : 1), bytes);
    }

    TierPool* find_higher(const TierPool& from, std::uint64_t bytes) {
        static constexpr Tier kAbove[] = {Tier::hot, Tier::warm};
        return find_target(std::span(kAbove).first(from.tier == Tier::warm ? 1 : 2), bytes);
    }

    // One that alone is larger than what a sweep may move goes alone.
    bool may_add(std::uint64_t bytes) const {
        if (left_.images == 0) return false;
        return input_.budget.bytes == 0 || bytes <= left_.bytes || plan_.moves.empty();
    }

    void add(const TierCandidate& what, TierPool& from, TierPool& to, TierReason reason,
             std::string why) {
        --left_.images;
        left_.bytes -= std::min(left_.bytes, what.size.bytes);
        from.leaving_bytes += what.size.bytes;
        to.coming_bytes += what.size.bytes;
        TierMove move{.what = what,
                      .from = from.id,
                      .to = to.id,
                      .reason = reason,
                      .why = std::move(why),
                      .calls = {}};
        const auto objects = static_cast<std::int64_t>(what.size.objects);
        if (to.is_bucket) {
            // Stored, asked for what is there, and asked again before the source's copy is removed.
            move.calls.class_a += static_cast<std::int64_t>(what.size.uploads);
            move.calls.class_b += 2 * objects;
            stored_bytes_ += static_cast<double>(what.size.bytes);
        }
        if (from.is_bucket) {
            // Read, and after the grace time removed: its versions are listed, and the one removed.
            move.calls.class_a += objects;
            move.calls.class_b += objects;
            move.calls.class_c += objects;
            move.calls.egress_bytes += what.size.bytes;
            stored_bytes_ -= static_cast<double>(what.size.bytes);
        }
        plan_.bytes += what.size.bytes;
        plan_.calls += move.calls;
        chosen_.insert(what.image.image);
        plan_.moves.push_back(std::move(move));
    }

    void note(std::string text) {
        if (std::ranges::find(plan_.notes, text) == plan_.notes.end())
            plan_.notes.push_back(std::move(text));
    }

    // ---- down

    void demote_from(const TierSource& source) {
        TierPool* const from = find(source.pool);
        if (from == nullptr || !from->gives) return;
        const auto rules = rules_of(from->tier, settings_);
        if (!rules) return;
        const bool was_pressed = is_pressed(*from, settings_);
        const std::uint64_t low = low_bytes(*from, *rules);
        bool some_dwell = source.some_dwell;
        bool is_limited = input_.budget.images == 0;  // then nobody looked for candidates
        bool is_without_room = false;
        for (const TierCandidate& each : source.candidates) {
            if (chosen_.contains(each.image.image)) continue;
            const bool idle = is_idle(each.image, *rules);
            const bool pressed = was_pressed && expected_bytes(*from) >= low;
            if (!idle && !pressed) continue;
            if (!has_dwelt(each.image)) {
                some_dwell = true;
                continue;
            }
            if (!may_add(each.size.bytes)) {
                is_limited = true;
                break;
            }
            TierPool* const to = find_lower(*from, each.size.bytes);
            if (to == nullptr) {
                is_without_room = true;
                continue;
            }
            add(each, *from, *to, idle ? TierReason::idle : TierReason::watermark,
                why_down(each.image, *from, idle));
        }
        if (is_without_room)
            note(fmt::format("no pool below pool {} has room for what is to leave it", from->name));
        if (is_limited) note("what a sweep may move is used up; the next one goes on");
        if (!was_pressed) return;
        const std::string emptied =
            fmt::format("pool {} is being emptied to its low watermark ({} percent of max_size)",
                        from->name, rules->low);
        if (expected_bytes(*from) < low) return note(emptied);
        note(fmt::format("{} and stays {} bytes above it: {}", emptied, expected_bytes(*from) - low,
                         is_limited        ? "more is left to the next sweeps"
                         : is_without_room ? "there is no room elsewhere"
                         : some_dwell ? fmt::format("its other images came less than {} days ago "
                                                    "(tiering.min_dwell_days_per_tier)",
                                                    settings_.min_dwell_days_per_tier)
                                      : "it has no other images that may go"));
    }

    std::string why_down(const TierImage& image, const TierPool& from, bool idle) const {
        const std::string viewed = view_text(image, input_.now_s);
        if (idle)
            return fmt::format("uploaded {} days ago, {}",
                               (input_.now_s - image.uploaded_s) / conf::kDayS, viewed);
        return fmt::format("pool {} is to become emptier, {}", from.name, viewed);
    }

    // ---- up

    void promote_all() {
        if (settings_.promote_hits == 0) return;
        std::vector<std::pair<double, const TierCandidate*>> wanted;
        for (const TierSource& source : input_.hottest) {
            for (const TierCandidate& each : source.candidates) {
                const double score = score_of(each.image);
                if (score >= settings_.promote_hits) wanted.emplace_back(score, &each);
            }
        }
        std::ranges::sort(wanted, {}, [](const auto& each) {
            return std::pair(-each.first, each.second->image.image);
        });
        std::uint64_t left = (left_.images + kPromotionShare - 1) / kPromotionShare;
        for (const auto& [score, each] : wanted) {
            if (left == 0) return;
            if (promote(*each, score)) --left;
        }
    }

    bool promote(const TierCandidate& what, double score) {
        TierPool* const from = find(what.image.pool);
        const bool may_go = from != nullptr && from->gives && from->tier != Tier::hot &&
                            has_dwelt(what.image) && !chosen_.contains(what.image.image);
        if (!may_go || !may_add(what.size.bytes)) return false;
        TierPool* const to = find_higher(*from, what.size.bytes);
        if (to == nullptr) {
            note(
                fmt::format("no pool above pool {} has room for what is viewed there", from->name));
            return false;
        }
        add(what, *from, *to, TierReason::promotion, fmt::format("{:.0f} recent views", score));
        return true;
    }

    double score_of(const TierImage& image) const {
        if (!image.views) return 0;
        const auto half_life =
            std::chrono::duration_cast<std::chrono::seconds>(settings_.promote_window);
        return score_at(*image.views, input_.now_s, half_life.count());
    }

    // ---- money

    void add_bill() {
        const TierCalls& calls = plan_.calls;
        plan_.bill.calls_dollars =
            b2_price(input_.used_today.class_b_calls, calls.class_b, kB2ClassB) +
            b2_price(input_.used_today.class_c_calls, calls.class_c, kB2ClassC);
        plan_.bill.egress_dollars = static_cast<double>(calls.egress_bytes) * kB2Egress;
        plan_.bill.storage_dollars_a_month = stored_bytes_ * kB2Storage;
    }

    const TierInput& input_;
    const conf::TieringSettings& settings_;
    TierBudget left_;
    std::vector<TierPool> pools_;  // as they will be
    std::int64_t dwelt_s_ = 0;     // who came by then has
    std::set<Uuid> chosen_;
    double stored_bytes_ = 0;  // that buckets will hold more
    TierPlan plan_;
};

}  // namespace

TierSize size_of(std::span<const ObjectRecord> rows) {
    const S3Limits limits;
    TierSize size;
    for (const ObjectRecord& row : rows) {
        ++size.objects;
        size.bytes += row.size;
        // An upload in parts is begun, and completed.
        size.uploads += row.size <= limits.multipart_above
                            ? 1
                            : 2 + (row.size + limits.part_bytes - 1) / limits.part_bytes;
    }
    return size;
}

std::string_view name_of(TierReason reason) {
    switch (reason) {
        case TierReason::idle:
            return "idle";
        case TierReason::watermark:
            return "watermark";
        case TierReason::promotion:
            break;
    }
    return "promotion";
}

TierCalls& TierCalls::operator+=(const TierCalls& other) {
    class_a += other.class_a;
    class_b += other.class_b;
    class_c += other.class_c;
    egress_bytes += other.egress_bytes;
    return *this;
}

std::uint64_t TierPlan::count(TierReason reason) const {
    return static_cast<std::uint64_t>(std::ranges::count(moves, reason, &TierMove::reason));
}

bool is_pressed(const TierPool& pool, const conf::TieringSettings& settings) {
    return is_full(pool, settings, expected_bytes(pool));
}

bool is_to_be_emptied(const TierPool& pool, const conf::TieringSettings& settings) {
    return is_full(pool, settings, pool.used_bytes + pool.coming_bytes);
}

TierPlan plan_tiering(const TierInput& input, const conf::TieringSettings& settings) {
    return Planner(input, settings).make();
}

unsigned cohort_of(const Uuid& image) {
    std::uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
    for (const std::uint8_t byte : image)
        hash = (hash ^ byte) * 0x100000001B3;
    hash ^= hash >> 32;
    return static_cast<unsigned>(hash % 100);
}

}  // namespace tidepool::storage
