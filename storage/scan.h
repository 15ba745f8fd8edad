// Takes what a pool holds into the catalog.
#pragma once

#include "storage/catalog.h"
#include "storage/driver.h"

#include <cstdint>
#include <functional>
#include <string>

namespace tidepool::storage {

struct ScanCounts {
    std::uint64_t seen = 0;          // objects that the pool listed
    std::uint64_t bytes = 0;         // of these
    std::uint64_t added = 0;         // had no row
    std::uint64_t changed = 0;       // had a row that said otherwise
    std::uint64_t unchanged = 0;     //
    std::uint64_t foreign = 0;       // another pool has the key, and keeps it
    std::uint64_t unknown_type = 0;  // adopted, but of a type that is not known
    std::uint64_t unservable = 0;    // not adopted: no URL has such a key (hidden, temporary)
    std::uint64_t failed = 0;        // adopted, but could not be read where that was wanted
    std::uint64_t deleted = 0;       // not adopted: of an image that was deleted
    std::uint64_t vanished = 0;      // rows of the pool that it did not list
    bool operator==(const ScanCounts&) const = default;
};

// What a look at an object adds to its record.
enum class Described : std::uint8_t { known, unknown_type, failed };

struct ScanOptions {
    bool dry_run = false;     // changes nothing, and neither goes on where another scan stopped
    std::string leave_out{};  // keys below it are no objects: what was set aside; "" = none
    std::int64_t now_s = 0;
    // Called for every object before it is adopted; may fill in hash and content type. `row` is
    // what the catalog has of the key in this pool, or null. Where it is not set every type is
    // known.
    std::function<Described(ObjectRecord& object, const ObjectRecord* row)> describe{};
    // Called after each batch; false stops the scan there (a later one goes on).
    std::function<bool(const ScanCounts&)> report{};
};

struct ScanResult {
    ScanCounts counts;      // of the whole scan, what was done before it was interrupted included
    bool resumed = false;   // an interrupted one was gone on with
    bool complete = false;  // false where `report` stopped it
};

// Lists the pool and adopts in batches of kScanBatch, each of which also saves how far it came: a
// scan that was killed goes on there. Memory does not grow with the pool. Objects that come or go
// meanwhile may or may not be seen, so `vanished` is a reason to look, not to delete.
Result<ScanResult> scan_pool(Driver& driver, Catalog& catalog, PoolId pool,
                             const ScanOptions& options);

// Objects per transaction. More are faster, and keep other writers waiting longer: this takes some
// 50 ms.
inline constexpr std::size_t kScanBatch = 5000;

// For ScanRecord::counts.
std::string to_text(const ScanCounts& counts);
ScanCounts parse_scan_counts(const std::string& text);

}  // namespace tidepool::storage
