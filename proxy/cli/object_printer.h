// Objects of the catalog, listed for people or for programs.
#pragma once

#include "storage/catalog_records.h"

#include <cstdint>
#include <string>

namespace tidepool::cli {

// A line each on standard output: size, time (UTC), pool, key. Or a JSON array of one object a
// line, so that it need not be held whole.
class ObjectPrinter {
  public:
    explicit ObjectPrinter(bool json);
    void print(const storage::ObjectRecord& object, const std::string& pool);
    // After the last one.
    void end() const;
    std::uint64_t count() const { return count_; }

  private:
    bool json_;
    std::uint64_t count_ = 0;
};

}  // namespace tidepool::cli
