// The catalog's rows of one pool, or its records of copies there, by key, a page at a time.
#pragma once

#include "storage/catalog.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tidepool::storage {

// For whoever merges them with a listing. What is added or removed meanwhile may or may not be met.
// One thread; the catalog outlives it.
class RowWalk {
  public:
    enum class Of : std::uint8_t { objects, copies };
    RowWalk(Catalog& catalog, PoolId pool, Of of = Of::objects)
        : catalog_(catalog), pool_(pool), of_(of) {}

    void start_after(std::string key);
    // The next row, null after the last one; good until the next call. Errors are the catalog's.
    Result<const ObjectRecord*> peek();
    void pop() { last_ = page_[at_++].key; }
    // The caller added up to here itself, and does not want to meet it.
    void skip_to(const std::string& key) {
        if (at_ == page_.size() && key > last_) last_ = key;
    }

  private:
    Result<std::vector<ObjectRecord>> read_page();

    Catalog& catalog_;
    PoolId pool_;
    Of of_;
    std::string last_;
    std::vector<ObjectRecord> page_;
    std::size_t at_ = 0;
    bool ended_ = false;
};

}  // namespace tidepool::storage
