// Which sections and keys a configuration has.
#pragma once

#include "conf/document.h"
#include "conf/problem.h"
#include "conf/settings.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::conf {

// [NAME], or [[NAME]] where it is repeated.
struct SectionSchema {
    std::string_view name;
    bool is_repeated = false;
    std::vector<std::string_view> keys;
    std::function<void(const Node&, Settings&, ProblemList&)>
        read;  // any node; one of a wrong type is a problem
    std::function<void(const Settings&, Findings&)> check;  // each value's own range
    // Which keys have other values in the one than in the other, "limits.ranges"; of a repeated
    // section its name alone.
    std::function<std::vector<std::string>(const Settings&, const Settings&)> differences;
};

// Reads the fields of one pool from a table whose path is ""; what is wrong is told by the field's
// name. Ranges and contradictions are settings_check's.
void read_pool(const Node& table, PoolSettings& into, ProblemList& problems);

// Made once, then constant.
const std::vector<SectionSchema>& settings_schema();

}  // namespace tidepool::conf
