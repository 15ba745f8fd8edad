#include "storage/job_keys.h"

#include <fmt/format.h>

namespace tidepool::storage {

std::string move_key(const std::string& name) {
    return "move " + name;
}

std::string clean_key(PoolId pool, const std::string& name) {
    return fmt::format("clean {} {}", pool, name);
}

std::string delete_key(const std::string& name) {
    return "delete " + name;
}

std::string copy_key(PoolId target, const std::string& key) {
    return fmt::format("backup {} {}", target, key);
}

std::string purge_key(const std::string& name) {
    return "purge " + name;
}

std::string numbered_key(const std::string& key, std::size_t number) {
    return number == 1 ? key : fmt::format("{} {}", key, number);
}

}  // namespace tidepool::storage
