// SHA-256 and MD5 of contents, in pieces or at once, HMAC-SHA256, and how digests are written and
// compared.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct evp_md_ctx_st;
struct evp_cipher_ctx_st;

namespace tidepool::conf {

using Sha256Digest = std::array<std::uint8_t, 32>;
using Md5Digest = std::array<std::uint8_t, 16>;
using Sha1Digest = std::array<std::uint8_t, 20>;

// Lower-case hex, two characters a byte.
std::string hex(std::span<const std::uint8_t> bytes);

// The digest that 64 hex digits of either case stand for; nothing for any other text.
std::optional<Sha256Digest> parse_sha256(std::string_view text);

// The bytes that pairs of hex digits of either case stand for; nothing for any other text.
std::optional<std::vector<std::uint8_t>> parse_hex(std::string_view text);

// The usual alphabet, padded (RFC 4648, 4), as in Content-MD5.
std::string base64(std::span<const std::uint8_t> bytes);

// The bytes that text of the usual alphabet stands for, padded to a multiple of four. Nothing for
// any other, as with parse_base64url().
std::optional<std::vector<std::uint8_t>> parse_base64(std::string_view text);

// The alphabet of URLs, without padding (RFC 4648, 5).
std::string base64url(std::span<const std::uint8_t> bytes);

// The bytes that such text stands for. Nothing for any other: padded, of the usual alphabet, or
// with bits set behind the last byte, which would make two texts of the same bytes (RFC 4648, 3.5).
std::optional<std::vector<std::uint8_t>> parse_base64url(std::string_view text);

// Takes as long wherever the two differ, so that the time tells nothing of a secret one; that they
// are not of one length may show.
bool equal_in_constant_time(std::string_view one, std::string_view other);

Sha256Digest sha256(std::string_view bytes);

// RFC 2104.
Sha256Digest hmac_sha256(std::span<const std::uint8_t> key, std::string_view message);

// One running SHA-256 (FIPS 180-4). Not shared between threads.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    // Goes on from where the other one is, which has not been finished.
    Sha256(const Sha256& other);
    Sha256& operator=(const Sha256&) = delete;

    void update(std::span<const char> bytes);
    // Ends the computation; the object may not be used afterwards.
    Sha256Digest finish();

  private:
    evp_md_ctx_st* context_;
};

// One running MD5 (RFC 1321): what stores use as an ETag and in Content-MD5. It proves that bytes
// arrived, not who wrote them. Not shared between threads.
class Md5 {
  public:
    Md5();
    ~Md5();
    // Goes on from where the other one is, which has not been finished.
    Md5(const Md5& other);
    Md5& operator=(const Md5&) = delete;

    void update(std::span<const char> bytes);
    // Ends the computation; the object may not be used afterwards.
    Md5Digest finish();

  private:
    evp_md_ctx_st* context_;
};

Md5Digest md5(std::string_view bytes);

// One running SHA-1 (RFC 3174), for those who ask for nothing better. Not shared between threads.
class Sha1 {
  public:
    Sha1();
    ~Sha1();
    Sha1(const Sha1&) = delete;
    Sha1& operator=(const Sha1&) = delete;

    void update(std::span<const char> bytes);
    // Ends the computation; the object may not be used afterwards.
    Sha1Digest finish();

  private:
    evp_md_ctx_st* context_;
};

using FingerprintDigest = std::array<std::uint8_t, 16>;

// One running fingerprint, by which a process knows bytes again that it has seen before: GMAC (NIST
// SP 800-38D) with a key that it made for itself, so that nobody can make others of the same. It
// takes a fifth of the time of SHA-256. Means nothing to other processes, and is not to be shown,
// since one nonce serves all. Not shared between threads.
class Fingerprint {
  public:
    Fingerprint();
    ~Fingerprint();
    Fingerprint(const Fingerprint&) = delete;
    Fingerprint& operator=(const Fingerprint&) = delete;

    void update(std::span<const char> bytes);
    // Ends the computation; the object may not be used afterwards.
    FingerprintDigest finish();

  private:
    evp_cipher_ctx_st* context_;
};

}  // namespace tidepool::conf
