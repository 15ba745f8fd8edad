// Encryption of the small secrets that the catalog keeps.
#pragma once

#include "conf/error.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidepool::conf {

// The key of catalog.secrets_key_file. Never changes; safe from any thread. What it seals is
// encrypted and authenticated by AES-256-GCM (NIST SP 800-38D) with a random nonce, so it may seal
// some billions of times.
class SealingKey {
  public:
    using Bytes = std::array<std::uint8_t, 32>;

    explicit SealingKey(const Bytes& bytes) : bytes_(bytes) {}
    ~SealingKey();
    SealingKey(const SealingKey&) = default;
    SealingKey& operator=(const SealingKey&) = delete;

    // Reads a file of exactly 32 bytes that only its owner and group may read. Errors name the
    // file: not_found, denied, invalid (another length), misconfigured (anybody may read it).
    static Result<SealingKey> read(const std::string& path);

    // Bytes that only open() with the same key and `context` can turn back. `context` says what the
    // secret belongs to, so that one cannot be put in another's place; it is not part of the
    // result.
    std::string seal(std::string_view secret, std::string_view context) const;
    // ErrorKind::corrupt where these bytes were not sealed by this key for this context.
    Result<std::string> open(std::string_view sealed, std::string_view context) const;

  private:
    Bytes bytes_;
};

}  // namespace tidepool::conf
