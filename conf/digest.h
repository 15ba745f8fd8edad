// SHA-256 of contents, in pieces or at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

struct evp_md_ctx_st;

namespace tidepool::conf {

using Sha256Digest = std::array<std::uint8_t, 32>;

// Lower-case hex, 64 characters.
std::string hex(const Sha256Digest& digest);

// One running SHA-256 (FIPS 180-4). Not shared between threads.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;

    void update(std::span<const char> bytes);
    // Ends the computation; the object may not be used afterwards.
    Sha256Digest finish();

  private:
    evp_md_ctx_st* context_;
};

}  // namespace tidepool::conf
