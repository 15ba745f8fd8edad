// The token that lets its bearer upload one file: who, where to, how much and until when
// (contracts: pixelfox.md, Upload API). It is B64URL(payload).B64URL(HMAC-SHA256(secret, payload)),
// both without padding; the payload is JSON, and its bytes as they are are what is signed. Pure.
#pragma once

#include "conf/error.h"
#include "conf/secret.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tidepool::upload {

struct UploadToken {
    // 1 to 64 printable ASCII characters. Decimal digits are a JSON number in the payload, as the
    // app writes its users, and are the same user where they come as text.
    std::string user{};
    // All numbers are from 0 to 2^63 - 1.
    std::int64_t pool = 0;
    std::uint64_t max_bytes = 0;
    std::int64_t expires_s = 0;  // since 1970; valid before that
    bool operator==(const UploadToken&) const = default;
};

// Longer text is no token of ours.
inline constexpr std::size_t kMostTokenBytes = 4096;

std::string sign(const UploadToken& token, std::string_view secret);

// What a token says that one of `secrets` signed; an empty one signs nothing. Fails with `denied`
// and a text fit for the client, which says whether it is malformed, forged or expired. How long it
// takes tells nothing of the secrets.
Result<UploadToken> verify(std::string_view text, std::span<const conf::Secret> secrets,
                           std::int64_t now_s);

}  // namespace tidepool::upload
