// The driver that a pool's settings ask for.
#pragma once

#include "conf/settings.h"
#include "storage/driver.h"
#include "storage/s3_client.h"

#include <memory>
#include <string>

namespace tidepool::storage {

// `key_prefix` is what keys of local pools have in front of their place below the base path
// ("uploads/"); in a bucket they stand whole. `gate` and `limits` are for s3; without a gate the
// driver has one of its own.
std::unique_ptr<Driver> make_driver(const conf::PoolSettings& settings, std::string key_prefix,
                                    std::shared_ptr<StoreGate> gate = nullptr,
                                    const S3Limits& limits = {});

}  // namespace tidepool::storage
