// Signed paths: variants that no profile has, for those whom somebody with a key of ours gave the
// path (contracts: b2-s3.md 10, as imgproxy signs). Pure.
#pragma once

#include "conf/settings.h"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::serve {

// A key and its salt, as bytes.
struct SigningPair {
    std::vector<std::uint8_t> key;
    std::string salt;
};

// Of a path from the slash behind the signature on: so many bytes of HMAC-SHA256(key, salt + path)
// in base64url.
std::string path_signature(const SigningPair& pair, std::string_view path, std::size_t bytes);

// Reads variants/SIGNATURE/OPTION/.../YYYY/MM/DD/UUID.EXT below the URL prefix.
class SignedVariants {
  public:
    // Null where the settings have no keys: then there are no such paths.
    static std::shared_ptr<const SignedVariants> of(const conf::VariantSettings& settings,
                                                    std::string_view url_prefix);

    struct Refusal {
        int status = 403;  // 403: not by us; 400: it is, and asks for what there is not
        std::string text;  // for the client
    };
    // The key under which the variant is stored that this one orders, a path decoded as by
    // storage::key_from_path; nothing where that has another form, and is what it says.
    std::optional<std::expected<std::string, Refusal>> read(std::string_view key) const;
    // The way back: what stands in place of this stored key in paths that order it, with its
    // options as its name has them and signed by each of our pairs. They have other spellings, too,
    // which nobody knows. Empty where no options are in the name.
    std::vector<std::string> orders_of(std::string_view stored_key) const;

  private:
    SignedVariants() = default;
    bool is_ours(std::string_view signature, std::string_view path) const;

    std::string folder_;  // "uploads/variants/"
    std::vector<SigningPair> pairs_;
    std::size_t signature_bytes_ = 0;
};

}  // namespace tidepool::serve
