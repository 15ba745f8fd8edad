// Signatures in the query of a URL, by which a private image is opened (contracts: b2-s3.md 10).
// Pure.
//
// Two forms, each at the end of the query, behind whatever stands in it otherwise:
//   timed     verify=TS-MAC       TS: time of issue, MAC: HMAC-SHA256(key, what stands before the
//             separator + TS) in base64url without padding or in padded base64, as the edge's
//             is_timed_hmac_valid_v0() has it, with or without its flag "s"
//   absolute  exp=END&sig=MAC     MAC: HMAC-SHA256(key, path and query before "&sig=") in hex, as
//             Cloudflare Images has it
// Times are seconds since 1970, of ten digits. What stands before a signature is signed with it,
// and behind it stands nothing; so neither form can be made of the other.
#pragma once

#include "conf/error.h"
#include "conf/settings.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::serve {

// What becomes of the request; all but `good` are refused.
enum class SignatureVerdict : std::uint8_t { good, missing, bad, expired };
inline constexpr std::array kSignatureRefusals{SignatureVerdict::missing, SignatureVerdict::bad,
                                               SignatureVerdict::expired};
std::string_view name_of(SignatureVerdict verdict);

enum class SignatureForm : std::uint8_t { timed, absolute };
std::optional<SignatureForm> parse_signature_form(std::string_view name);
std::string_view name_of(SignatureForm form);

// The texts of signatures. `target` is a path with or without a query.
std::string timed_token(std::string_view key, std::string_view target, std::int64_t issued_s);
std::string absolute_token(std::string_view key, std::string_view target_with_end);

// Immutable; any thread.
class UrlSignatures {
  public:
    // Null where there is no key. The first is the one to sign with, and all are accepted.
    static std::shared_ptr<const UrlSignatures> of(const conf::PrivateSettings& settings);
    // `keys` as they are used, `ttl` of timed signatures.
    UrlSignatures(std::vector<std::string> keys, std::chrono::seconds ttl)
        : keys_(std::move(keys)), ttl_(ttl) {}

    // `path` as it was sent; what was signed is that, or its normalised form.
    SignatureVerdict judge(std::string_view path, std::string_view query, std::int64_t now_s) const;

  private:
    SignatureVerdict judge_timed(std::string_view path, std::string_view before,
                                 std::string_view token, std::int64_t now_s) const;
    SignatureVerdict judge_absolute(std::string_view path, std::string_view before,
                                    std::string_view token, std::int64_t now_s) const;
    bool is_ours(std::string_view path, std::string_view rest, std::string_view mac) const;

    std::vector<std::string> keys_;
    std::chrono::seconds ttl_;
};

// What is to be signed.
struct SigningOrder {
    std::string url;                            // "https://host/path?query", or from the path on
    std::optional<std::chrono::seconds> ttl{};  // nothing: private.ttl
    SignatureForm form = SignatureForm::timed;
};
struct SignedUrl {
    std::string url;  // with its path in normalised form
    SignatureForm form = SignatureForm::timed;
    std::int64_t expires_s = 0;
};

// Signs with the settings' key. Without a ttl of its own a URL is the same for private.quantum.
// Errors: misconfigured where there is no key; invalid for what cannot be signed, or not for so
// long, with a text for whoever asked.
Result<SignedUrl> sign_url(const conf::PrivateSettings& settings, const SigningOrder& order,
                           std::int64_t now_s);

}  // namespace tidepool::serve
