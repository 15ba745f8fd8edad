#include "storage/make_driver.h"

#include "storage/local_driver.h"
#include "storage/s3_driver.h"

#include <utility>

namespace tidepool::storage {

std::unique_ptr<Driver> make_driver(const conf::PoolSettings& settings, std::string key_prefix,
                                    std::shared_ptr<StoreGate> gate, const S3Limits& limits) {
    if (settings.storage_type != conf::PoolSettings::Type::s3)
        return std::make_unique<LocalDriver>(settings, std::move(key_prefix));
    if (!gate) gate = std::make_shared<StoreGate>(settings);
    return std::make_unique<S3Driver>(settings, std::move(gate), limits);
}

}  // namespace tidepool::storage
