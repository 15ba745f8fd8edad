#include "conf/digest.h"

#include <cstdlib>

#include <openssl/evp.h>

namespace tidepool::conf {

namespace {

// SHA-256 is always there; failure means memory is gone.
void require(bool done) {
    if (!done) std::abort();
}

}  // namespace

std::string hex(const Sha256Digest& digest) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(digest.size() * 2);
    for (const std::uint8_t byte : digest) {
        text.push_back(kDigits[byte >> 4]);
        text.push_back(kDigits[byte & 15]);
    }
    return text;
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    require(context_ != nullptr && EVP_DigestInit_ex2(context_, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() {
    EVP_MD_CTX_free(context_);
}

void Sha256::update(std::span<const char> bytes) {
    require(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
}

Sha256Digest Sha256::finish() {
    Sha256Digest digest{};
    require(EVP_DigestFinal_ex(context_, digest.data(), nullptr) == 1);
    return digest;
}

}  // namespace tidepool::conf
