// How commands print: JSON for programs, columns for people.
#pragma once

#include "conf/error.h"
#include "storage/catalog.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace tidepool::cli {

using Json = nlohmann::ordered_json;

// One line on standard output. Bytes that are no UTF-8 become U+FFFD.
void print_json(const Json& json);
std::string json_text(const Json& json);

// "not_found".

// "1.2 GiB": rounded, for people. conf::format_size is exact.
std::string human_size(std::uint64_t bytes);
// "2026-02-25 13:05:00", UTC; "-" for 0.
std::string human_time(std::int64_t time_s);

// A row by the names of its fields; what is not known is null.
Json object_json(const storage::ObjectRecord& object, const std::string& pool);

}  // namespace tidepool::cli
