// Variants that could not be stored when they were made: jobs of the catalog, which outlive the
// process and are done by any that has the catalog.
#pragma once

#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/serve/stores.h"
#include "storage/catalog_records.h"

#include <cstdint>
#include <optional>
#include <string>

namespace tidepool::serve {

class VariantMaker;

// To make and store this variant, some seconds from now.
storage::NewJob variant_job(const std::string& key);

// Does them, one after the other. Loop thread only, that of the maker's home.
class VariantJobs {
  public:
    // Both outlive it; `stores` has a catalog.
    VariantJobs(loop::Loop& loop, Stores& stores, VariantMaker& maker);

    void start();
    void stop();

  private:
    static loop::Task<> run(VariantJobs& self);
    loop::Task<std::optional<storage::JobRecord>> take();
    loop::Task<> work_on(const storage::JobRecord& job);
    loop::Task<> end(const storage::JobRecord& job, const std::optional<Error>& error);

    loop::Loop& loop_;
    Stores& stores_;
    VariantMaker& maker_;
    const std::string owner_;
    bool stopping_ = false;
    loop::Loop::Delay* pause_ = nullptr;
};

}  // namespace tidepool::serve
