// What the parts of the upload API work with.
#pragma once

#include "conf/settings.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/serve/variant_maker.h"
#include "storage/catalog.h"
#include "storage/driver_set.h"

#include <functional>
#include <string>
#include <vector>

namespace tidepool::upload {

// All that is pointed at outlives it. Shared by all loops.
struct UploadMeans {
    conf::Settings settings;
    storage::Catalog* catalog = nullptr;
    storage::DriverSet* drivers = nullptr;
    serve::VariantMaker* variants = nullptr;
    loop::WorkerPool* catalog_workers = nullptr;
    // These keys are there, or others, from now on. Any thread.
    std::function<void(const std::vector<std::string>& keys)> changed;
    // A job was queued that is due. Any thread.
    std::function<void()> queued;
    // Of objects in buckets; see serve::cache_control_of.
    std::function<std::string(const std::string& key, const std::string& type)> cache_control;

    // What keys begin with: "uploads/".
    std::string key_prefix() const { return settings.server.url_prefix.substr(1); }
};

}  // namespace tidepool::upload
