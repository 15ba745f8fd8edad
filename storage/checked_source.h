// A source that proves what it gives.
#pragma once

#include "conf/digest.h"
#include "storage/driver.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace tidepool::storage {

// Passes on `source`, which outlives it, and keeps its last bytes back until its length and its
// SHA-256 are known to be right: a transfer of something else never becomes whole, so that no store
// takes it. Otherwise ErrorKind::corrupt.
class CheckedSource final : public ByteSource {
  public:
    CheckedSource(ByteSource& source, std::uint64_t size, const conf::Sha256Digest& sha256)
        : source_(source), size_(size), sha256_(sha256) {}

    Result<std::size_t> read(std::span<char> into) override;
    Result<void> rewind() override;
    // Once all was read.
    const std::optional<conf::Md5Digest>& md5() const { return md5_; }

  private:
    Result<void> check_end();

    ByteSource& source_;
    const std::uint64_t size_;
    const conf::Sha256Digest sha256_;
    std::uint64_t given_ = 0;
    std::optional<conf::Sha256> sha256_hash_{std::in_place};
    std::optional<conf::Md5> md5_hash_{std::in_place};
    std::optional<conf::Md5Digest> md5_{};
};

// The content of an object, read whole.
struct HeldContent {
    std::string bytes;
    conf::Sha256Digest sha256{};
    conf::Md5Digest md5{};
};
// Reads all of a source that is small enough to be held. Another length is ErrorKind::corrupt.
Result<HeldContent> hold_source(ByteSource& source, std::uint64_t size);

// Reads all of it, and begins again at its start. Another length is ErrorKind::corrupt.
Result<conf::Sha256Digest> hash_source(ByteSource& source, std::uint64_t size);

}  // namespace tidepool::storage
