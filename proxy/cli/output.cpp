#include "proxy/cli/output.h"

#include <array>
#include <cstddef>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

std::string json_text(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void print_json(const Json& json) {
    fmt::print("{}\n", json_text(json));
}

std::string human_size(std::uint64_t bytes) {
    static constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) return fmt::format("{} B", bytes);
    double value = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    return fmt::format("{:.1f} {}", value, kUnits.at(unit));
}

std::string human_time(std::int64_t time_s) {
    if (time_s == 0) return "-";
    return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(time_s)));
}

Json object_json(const storage::ObjectRecord& object, const std::string& pool) {
    return {{"key", object.key},
            {"pool", pool},
            {"image", object.image ? Json(storage::to_text(*object.image)) : Json(nullptr)},
            {"role", storage::name_of(object.role)},
            {"size", object.size},
            {"sha256", object.sha256 ? Json(conf::hex(*object.sha256)) : Json(nullptr)},
            {"content_type", text_or_null(object.content_type)},
            {"modified", object.modified_s},
            {"store_etag", text_or_null(object.store_etag)},
            {"version_id", text_or_null(object.version_id)},
            {"added", object.added_s}};
}

}  // namespace tidepool::cli
