#include "proxy/serve/cache_tags.h"

#include "conf/ascii.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

// UTC, as that of keys.
std::string day_text(std::int64_t seconds) {
    const std::chrono::sys_seconds time{std::chrono::seconds(seconds)};
    const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(time));
    return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()),
                       static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
}

// "2026-02-25" for "2026/02/25".
std::string dashed(std::string_view day) {
    std::string text(day);
    std::ranges::replace(text, '/', '-');
    return text;
}

}  // namespace

CacheTags::CacheTags(const conf::EdgeSettings& settings)
    : prefix_(conf::lower_case(settings.cache_tag_prefix)) {
    const auto has = [&](std::string_view name) {
        return std::ranges::find(settings.cache_tags, name) != settings.cache_tags.end();
    };
    has_image_ = has("image");
    has_pool_ = has("pool");
    has_day_ = has("day");
}

std::string CacheTags::of_image(const storage::Uuid& image) const {
    return fmt::format("{}img-{}", prefix_, storage::to_text(image));
}

std::string CacheTags::of_pool(std::string_view name) const {
    return fmt::format("{}pool-{}", prefix_, name);
}

std::string CacheTags::of_day(std::string_view day) const {
    return fmt::format("{}day-{}", prefix_, day);
}

std::string CacheTags::line(const Subject& subject) const {
    if (!has_image_ && !has_pool_ && !has_day_) return {};
    std::string tags;
    const auto add = [&tags](const std::string& tag) {
        tags.append(tags.empty() ? "" : ",").append(tag);
    };
    const storage::ImageKey key = storage::parse_image_key(subject.key);
    if (has_image_ && key.image) add(of_image(*key.image));
    if (has_pool_ && !subject.pool.empty()) add(of_pool(subject.pool));
    if (has_day_ && !key.day.empty()) {
        add(of_day(dashed(key.day)));
    } else if (has_day_ && subject.modified_s) {
        add(of_day(day_text(*subject.modified_s)));
    }
    return tags.empty() ? std::string() : fmt::format("Cache-Tag: {}\r\n", tags);
}

}  // namespace tidepool::serve
