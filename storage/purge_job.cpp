#include "storage/purge_job.h"

#include "conf/quote.h"
#include "storage/job_keys.h"
#include "storage/job_payload.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr int kPurgePriority = 10;  // what is to be forgotten is seen until then

void unite(std::vector<std::string>& into, const std::vector<std::string>& more) {
    into.insert(into.end(), more.begin(), more.end());
    std::ranges::sort(into);
    const auto repeated = std::ranges::unique(into);
    into.erase(repeated.begin(), repeated.end());
}

std::string purge_payload(const PurgeWish& wish) {
    PayloadWriter payload;
    if (wish.image) payload.add("image", to_text(*wish.image));
    if (!wish.keys.empty()) payload.add("keys", wish.keys);
    if (wish.is_whole) payload.add_flag("whole", true);
    if (!wish.urls.empty()) payload.add("urls", wish.urls);
    if (!wish.tags.empty()) payload.add("tags", wish.tags);
    if (!wish.prefixes.empty()) payload.add("prefixes", wish.prefixes);
    if (wish.is_everything) payload.add_flag("everything", true);
    return payload.add("asked", wish.asked).text();
}

PurgeWish read_wish(std::string_view text) {
    const PayloadReader payload(text);
    return {.image = parse_uuid(payload.text("image").value_or("")),
            .keys = payload.texts("keys"),
            .is_whole = payload.flag("whole").value_or(false),
            .urls = payload.texts("urls"),
            .tags = payload.texts("tags"),
            .prefixes = payload.texts("prefixes"),
            .is_everything = payload.flag("everything").value_or(false),
            .asked = payload.number("asked").value_or(1)};
}

std::string merged_wishes(std::string_view open, std::string_view wanted) {
    PurgeWish all = read_wish(open);
    const PurgeWish more = read_wish(wanted);
    unite(all.keys, more.keys);
    unite(all.urls, more.urls);
    unite(all.tags, more.tags);
    unite(all.prefixes, more.prefixes);
    all.is_whole = all.is_whole || more.is_whole;
    all.is_everything = all.is_everything || more.is_everything;
    ++all.asked;
    return purge_payload(all);
}

// "" where what is wished is of no one image or object.
std::string purge_name(const PurgeWish& wish) {
    const bool is_mixed = !wish.urls.empty() || !wish.tags.empty() || !wish.prefixes.empty();
    if (is_mixed || wish.is_everything) return "";
    if (wish.image) return purge_key(to_text(*wish.image));
    return wish.keys.size() == 1 ? purge_key(wish.keys.front()) : "";
}

constexpr std::size_t kItemsOfJob = 1000;
constexpr std::size_t kMostUrlBytes = 16ULL * 1024;
constexpr std::size_t kMostTagBytes = 1024;

bool is_visible_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

// Behind the scheme of a URL, or all of a prefix: a host, and a path where there is one.
bool is_place(std::string_view text) {
    return !text.empty() && text.front() != '/' && text.size() <= kMostUrlBytes &&
           is_visible_ascii(text) && text.substr(0, text.find('/')).find('@') == text.npos;
}

bool is_purgeable_url(std::string_view url) {
    const std::size_t scheme = url.find("://");
    if (scheme == url.npos) return false;
    const std::string_view place = url.substr(scheme + 3);
    const bool is_web = url.starts_with("https://") || url.starts_with("http://");
    return is_web && is_place(place) && place.find('/') != place.npos;
}

// What is wrong with an order; "" = nothing.
std::string wrong_in_order(const PurgeOrder& order) {
    for (const std::string& url : order.urls) {
        if (!is_purgeable_url(url))
            return conf::quote(url) + " is no URL such as \"https://images.example/uploads/a.jpg\"";
    }
    for (const std::string& tag : order.tags) {
        if (tag.empty() || tag.size() > kMostTagBytes || !is_visible_ascii(tag) ||
            tag.find(',') != tag.npos)
            return conf::quote(tag) + " is no tag: 1 to 1024 visible ASCII characters, no comma";
    }
    for (const std::string& prefix : order.prefixes) {
        if (!is_place(prefix) || prefix.find("://") != prefix.npos)
            return conf::quote(prefix) + " is no prefix such as \"images.example/uploads\"";
    }
    const bool is_empty = order.images.empty() && order.keys.empty() && order.urls.empty() &&
                          order.tags.empty() && order.prefixes.empty();
    return is_empty && !order.is_everything ? "nothing is named that could be purged" : "";
}

Result<PurgeWish> wish_of_image(Catalog& catalog, const Uuid& image) {
    PurgeWish wish{.image = image, .is_whole = true};
    const auto found = catalog.find_image(image);
    if (!found) return std::unexpected(found.error());
    if (!*found)
        return fail(ErrorKind::not_found,
                    fmt::format("the catalog knows no image {}; name its URLs", to_text(image)));
    const auto rows = catalog.objects_of(image);
    if (!rows) return std::unexpected(rows.error());
    wish.keys.push_back((*found)->original);
    for (const ObjectRecord& row : *rows)
        wish.keys.push_back(row.key);
    unite(wish.keys, {});
    return wish;
}

// Of each list as much as one job has.
void add_in_parts(std::vector<NewJob>& jobs, const std::vector<std::string>& all,
                  std::vector<std::string> PurgeWish::* member, const std::string& batch) {
    for (std::size_t at = 0; at < all.size(); at += kItemsOfJob) {
        const auto first = all.begin() + static_cast<std::ptrdiff_t>(at);
        const std::size_t count = std::min(kItemsOfJob, all.size() - at);
        PurgeWish wish;
        (wish.*member).assign(first, first + static_cast<std::ptrdiff_t>(count));
        jobs.push_back(purge_job(wish, batch));
    }
}

// Where visitors find what a pool has, as far as that differs between pools.
struct VisibleAt {
    std::string public_base_url;
    std::string bucket;
    bool redirects = false;
    bool is_private = false;
    bool operator==(const VisibleAt&) const = default;
};

VisibleAt visible_at(const conf::PoolSettings& pool) {
    const bool redirects = pool.serve == conf::PoolSettings::Serve::redirect;
    const bool is_private = pool.is_private();
    if (pool.public_base_url.empty()) return {"", "", redirects, is_private};
    return {pool.public_base_url, pool.bucket, redirects, is_private};
}

}  // namespace

// Others see a change when they next look for one, twice in that time, and answer by what they know
// for as long as it is fresh. Two seconds more, as times of jobs are whole ones.
std::int64_t until_all_know_s(const conf::Settings& settings) {
    return std::chrono::ceil<std::chrono::seconds>(settings.cache.freshness * 3 / 2).count() + 2;
}

NewJob purge_job(const PurgeWish& wish, const std::string& batch) {
    return {.type = std::string(kPurgeType),
            .payload = purge_payload(wish),
            .dedup_key = purge_name(wish),
            .priority = kPurgePriority,
            .batch = batch,
            .merged = merged_wishes};
}

NewJob takedown_job(const PurgeWish& wish, const conf::Settings& settings, std::int64_t now_s) {
    NewJob job = purge_job(wish, "");
    job.lane = kTakedownLane;
    job.not_before_s = now_s + until_all_know_s(settings);
    return job;
}

Result<PurgeWish> purge_wish(const JobRecord& job) {
    PurgeWish wish = read_wish(job.payload);
    const bool is_empty = !wish.image && wish.keys.empty() && wish.urls.empty() &&
                          wish.tags.empty() && wish.prefixes.empty() && !wish.is_everything;
    if (job.type != kPurgeType || is_empty)
        return fail(ErrorKind::invalid, fmt::format("job {} names nothing to purge", job.id));
    return wish;
}

Result<std::vector<NewJob>> ordered_purges(Catalog& catalog, const PurgeOrder& order,
                                           const std::string& batch) {
    if (std::string wrong = wrong_in_order(order); !wrong.empty())
        return fail(ErrorKind::invalid, std::move(wrong));
    std::vector<NewJob> jobs;
    for (const Uuid& image : order.images) {
        const auto wish = wish_of_image(catalog, image);
        if (!wish) return std::unexpected(wish.error());
        jobs.push_back(purge_job(*wish, batch));
    }
    for (const std::string& key : order.keys)
        jobs.push_back(purge_job({.image = parse_image_key(key).image, .keys = {key}}, batch));
    add_in_parts(jobs, order.urls, &PurgeWish::urls, batch);
    add_in_parts(jobs, order.tags, &PurgeWish::tags, batch);
    add_in_parts(jobs, order.prefixes, &PurgeWish::prefixes, batch);
    if (order.is_everything) jobs.push_back(purge_job({.is_everything = true}, batch));
    return jobs;
}

Result<bool> has_later_purge(Catalog& catalog, const JobRecord& job) {
    const PurgeWish wish = read_wish(job.payload);
    const std::string name = purge_name(wish);
    if (name.empty()) return false;
    // Of those before it some may have ended.
    constexpr std::size_t kMostAtOnce = 4;
    for (std::size_t number = 1; number <= kMostAtOnce; ++number) {
        const auto open = catalog.find_open_job(numbered_key(name, number));
        if (!open) return std::unexpected(open.error());
        if (*open && (*open)->id > job.id) return true;
    }
    return false;
}

Result<bool> is_refused_now(Catalog& catalog, std::span<const KnownPool> pools,
                            std::string_view key) {
    const auto found = catalog.locate(key);
    if (!found) return std::unexpected(found.error());
    return found->is_deleted || found->is_private ||
           std::ranges::any_of(pools, [&](const KnownPool& pool) {
               const bool has_it =
                   found->home == pool.id || (found->row && found->row->pool == pool.id);
               return has_it && pool.settings.is_private();
           });
}

Catalog::Outdate purge_follower(const conf::Settings& settings, std::span<const KnownPool> pools) {
    if (settings.purge.zone_id.empty()) return {};
    const std::int64_t delay_s = until_all_know_s(settings);
    const auto places = std::make_shared<std::map<PoolId, VisibleAt>>();
    for (const KnownPool& pool : pools)
        places->emplace(pool.id, visible_at(pool.settings));
    return [places, delay_s](const Outdated& what) -> std::optional<NewJob> {
        using Why = Outdated::Why;
        bool is_taken_down = what.why == Why::deleted || what.why == Why::hidden;
        if (what.why == Why::moved) {
            // Of a pool that is not known nothing is known.
            const auto from = places->find(what.from);
            const auto to = places->find(what.to);
            const bool knows_both = from != places->end() && to != places->end();
            if (knows_both && from->second == to->second) return std::nullopt;
            const bool was_private = from != places->end() && from->second.is_private;
            is_taken_down = to != places->end() && to->second.is_private && !was_private;
        }
        const PurgeWish wish{.image = what.image, .keys = what.keys, .is_whole = what.is_whole};
        if (!wish.image && wish.keys.empty()) return std::nullopt;
        NewJob job = purge_job(wish, "");
        if (is_taken_down) job.lane = kTakedownLane;
        job.not_before_s = std::time(nullptr) + delay_s;
        return job;
    };
}

}  // namespace tidepool::storage
