// The driver of Backblaze B2 and other S3 pools.
#pragma once

#include "storage/driver.h"
#include "storage/s3_client.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// Sends nothing that B2 refuses: no x-amz-checksum-*, no conditional PUT (contracts: b2-s3.md 4.2).
// Every call passes the gate, and is retried within the limits. Any thread.
class S3Driver final : public Driver {
  public:
    // `settings.storage_type` is s3. `gate` may be shared with the proxy.
    S3Driver(const conf::PoolSettings& settings, std::shared_ptr<StoreGate> gate,
             S3Limits limits = {});

    const std::string& pool() const override { return client_.pool(); }

    // Where options.sha256 is unknown the source is read twice. What is stored is looked at again
    // before this returns; another size or MD5 is ErrorKind::corrupt.
    Result<ObjectInfo> put(std::string_view key, ByteSource& source,
                           const PutOptions& options) override;
    Result<ObjectInfo> get(std::string_view key, const GetRange& range, ByteSink& sink) override;
    Result<ObjectInfo> head(std::string_view key) override;
    Result<void> remove(std::string_view key) override;
    Result<ListPage> list(std::string_view prefix, const std::string& next,
                          std::size_t limit) override;
    // Where both pools have one endpoint and one access key, and the object is below 5 GB. A denied
    // copy is an error, not nothing.
    Result<std::optional<ObjectInfo>> copy_within_store(Driver& from, std::string_view key,
                                                        std::string_view to_key,
                                                        const PutOptions& options) override;
    // A bucket has no end that it knows of.
    Result<Space> space() override { return Space{}; }
    // Lists one object, which is what a wrong key, bucket, region or clock makes fail, each in its
    // own way. A key that may only read is enough unless `for_writing`.
    Result<std::vector<std::string>> check(bool for_writing) override;

    // Aborts uploads in parts that were begun before that: nobody continues them, and their parts
    // are paid for. Returns how many there were.
    Result<std::size_t> abort_stray_uploads(std::chrono::seconds older_than);

    Result<VersionPage> list_versions(std::string_view prefix, const std::string& next) override;
    Result<void> remove_version(std::string_view key, std::string_view version_id) override;
    Result<void> remove_older_versions(std::string_view key, std::string_view version_id) override;
    // Uploads; of which abort_stray_uploads() aborts the same.
    Result<Strays> sweep_strays(std::int64_t before_s, bool only_count) override;

  private:
    Result<ObjectInfo> head_version(std::string_view key, std::string_view version_id,
                                    std::string* md5);
    Result<ObjectInfo> verify(std::string_view key, const PutOptions& options,
                              std::string_view version_id, std::string_view md5);
    void remove_repeated(std::string_view key, std::string_view version_id);
    Result<std::vector<std::string>> check_reading_only(const Error& listing);
    Result<void> probe_writing(std::vector<std::string>& found);
    std::unexpected<Error> failed(ErrorKind kind, std::string_view key, std::string_view why) const;

    S3Client client_;
};

}  // namespace tidepool::storage
