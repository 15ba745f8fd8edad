#include "storage/driver.h"

#include "storage/pulled_get.h"

#include <utility>

namespace tidepool::storage {

Result<bool> exists(Driver& driver, std::string_view key) {
    const auto found = driver.head(key);
    if (found) return true;
    if (found.error().kind == ErrorKind::not_found) return false;
    return std::unexpected(found.error());
}

Result<ObjectInfo> copy_object(Driver& from, std::string_view key, Driver& to,
                               std::string_view to_key, const PutOptions& options) {
    auto copied = to.copy_within_store(from, key, to_key, options);
    if (!copied) return std::unexpected(std::move(copied.error()));
    if (*copied) return std::move(**copied);
    PulledGet source(from, key);
    return to.put(to_key, source, options);
}

}  // namespace tidepool::storage
