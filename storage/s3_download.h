// One object's content, read from a store however often the connection breaks. Blocking.
#pragma once

#include "storage/driver.h"
#include "storage/s3_client.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::storage {

// Used once, by one thread. Client and sink outlive it.
class S3Download {
  public:
    S3Download(S3Client& client, std::string_view key, const GetRange& range, ByteSink& sink)
        : client_(client), key_(key), range_(range), sink_(sink), offset_(range.offset) {}

    // Pushes each byte once, in order, all of one version (invariant 3). A whole object is compared
    // with its SHA-256, or else with its MD5: corrupt, though its bytes were pushed.
    Result<ObjectInfo> run();

  private:
    ReadOptions options() const;
    Result<void> check_head(const HttpAnswer& head);
    Result<void> learn(const HttpAnswer& head, std::uint64_t total);
    Result<void> take(const HttpAnswer& head, std::span<const char> bytes);
    StoreFailure try_once(bool first);
    Result<ObjectInfo> finish();
    std::unexpected<Error> broken(std::string_view why, ErrorKind kind, NextTry next);
    bool is_whole() const { return range_.offset == 0 && !range_.length; }

    S3Client& client_;
    const std::string_view key_;
    const GetRange range_;
    ByteSink& sink_;
    std::uint64_t offset_;                // of the next byte that is wanted
    std::uint64_t end_ = 0;               // of the last one plus 1, once `object_` is known
    std::optional<ObjectInfo> object_{};  // of the first answer
    std::optional<std::string> md5_{};    // that it should have
    bool head_checked_ = false;           // of this try
    NextTry own_next_ = NextTry::never;   // after an error that was found here
    conf::Sha256 sha256_{};
    conf::Md5 md5_found_{};
};

}  // namespace tidepool::storage
