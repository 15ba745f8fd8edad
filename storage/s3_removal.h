// Removes an object for good from a store that keeps versions (contracts: b2-s3.md 4.4). Blocking.
#pragma once

#include "storage/s3_client.h"
#include "storage/s3_xml.h"

#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// Used by one thread. The client outlives it.
class S3Removal {
  public:
    S3Removal(S3Client& client, std::string_view key) : client_(client), key_(key) {}

    // Every version and marker. Where there are several, a marker is put before them first and
    // taken away last, so that no older version can be read in between.
    Result<void> all();

    // The versions that are older than this one: what a repeated upload may have left.
    Result<void> older_than(std::string_view version_id);

    // This version or marker alone.
    Result<void> one(std::string_view version_id);

  private:
    // The key's versions behind `after`, newest first, at most a page of them.
    Result<VersionListing> page_behind(const VersionMarker& after);
    Result<void> remove_behind(std::string_view version_id);
    Result<std::string> put_marker();

    S3Client& client_;
    const std::string_view key_;
};

}  // namespace tidepool::storage
