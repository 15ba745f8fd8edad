// One object's content, sent to a store: at once, or in parts where it is large. Blocking.
#pragma once

#include "storage/checked_source.h"
#include "storage/driver.h"
#include "storage/s3_client.h"
#include "storage/s3_xml.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// What an upload made.
struct Uploaded {
    std::string version_id{};
    std::string md5{};      // hex; "" where the ETag is none of MD5
    bool repeated = false;  // sent more than once, so that a store may have kept it twice
};

// Used once, by one thread. Client and source outlive it; options.sha256 is known.
class S3Upload {
  public:
    S3Upload(S3Client& client, std::string_view key, ByteSource& source, const PutOptions& options)
        : client_(client), key_(key), source_(source), options_(options) {}

    // A source that is not what `options` say is ErrorKind::corrupt, and nothing is stored.
    Result<Uploaded> at_once();
    // The same of what was held: its source has been read.
    Result<Uploaded> held(const HeldContent& content);
    // The same in parts, each held in memory while it is sent. A failed upload is aborted, as its
    // parts are paid for.
    Result<Uploaded> in_parts();

  private:
    // `md5` is looked at when all was sent.
    Result<Uploaded> send(ByteSource& body, const std::optional<conf::Md5Digest>& md5);
    Result<std::string> create();
    Result<void> send_parts(const std::string& id);
    Result<std::string> send_part(const std::string& id, unsigned number,
                                  std::span<const char> content);
    Result<std::string> send_or_find(const std::string& id, unsigned number,
                                     std::span<const char> content);
    Result<bool> has_part(const std::string& id, const ListedPart& wanted);
    Result<Uploaded> complete(const std::string& id);
    Result<bool> is_stored();
    void abort(const std::string& id);
    std::uint64_t part_bytes() const;
    std::unexpected<Error> failed(Error error) const;

    S3Client& client_;
    const std::string_view key_;
    ByteSource& source_;
    const PutOptions& options_;
    std::vector<ListedPart> parts_{};
};

}  // namespace tidepool::storage
