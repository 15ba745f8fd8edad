#include "conf/sealing.h"

#include "conf/quote.h"
#include "conf/small_file.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <system_error>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

namespace tidepool::conf {

namespace {

// What seal() gives: a byte for the form, nonce, ciphertext, tag.
constexpr char kForm = 1;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kOverhead = 1 + kNonceBytes + kTagBytes;

// The cipher is always there; failure means memory or randomness is gone.
void require_done(bool done) {
    if (!done) std::abort();
}

struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* bytes_of(std::string& text, std::size_t offset) {
    return reinterpret_cast<unsigned char*>(text.data()) + offset;
}

}  // namespace

SealingKey::~SealingKey() {
    OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

Result<SealingKey> SealingKey::read(const std::string& path) {
    auto content = read_small_file(path, 4096);
    if (!content) return std::unexpected(std::move(content.error()));
    std::error_code failed;
    const auto permissions = std::filesystem::status(path, failed).permissions();
    using std::filesystem::perms;
    if (failed || (permissions & (perms::others_read | perms::others_write)) != perms::none) {
        OPENSSL_cleanse(content->data(), content->size());
        return fail(ErrorKind::misconfigured,
                    fmt::format("{}: anybody may read or change this key; run chmod 600 {}", path,
                                quote(path)));
    }
    Bytes bytes{};
    if (content->size() != bytes.size()) {
        return fail(ErrorKind::invalid,
                    fmt::format("{}: a key is 32 bytes, and this file has {}; make one with "
                                "openssl rand -out {} 32",
                                path, content->size(), quote(path)));
    }
    std::ranges::copy(*content, bytes.begin());
    OPENSSL_cleanse(content->data(), content->size());
    return SealingKey(bytes);
}

std::string SealingKey::seal(std::string_view secret, std::string_view context) const {
    std::string sealed(secret.size() + kOverhead, '\0');
    sealed.front() = kForm;
    unsigned char* nonce = bytes_of(sealed, 1);
    require_done(RAND_bytes(nonce, kNonceBytes) == 1);
    const Context cipher(EVP_CIPHER_CTX_new());
    require_done(cipher != nullptr);
    int length = 0;
    require_done(
        EVP_EncryptInit_ex2(cipher.get(), EVP_aes_256_gcm(), bytes_.data(), nonce, nullptr) == 1);
    require_done(EVP_EncryptUpdate(cipher.get(), nullptr, &length, bytes_of(context),
                                   static_cast<int>(context.size())) == 1);
    unsigned char* out = nonce + kNonceBytes;
    require_done(EVP_EncryptUpdate(cipher.get(), out, &length, bytes_of(secret),
                                   static_cast<int>(secret.size())) == 1);
    require_done(EVP_EncryptFinal_ex(cipher.get(), out + length, &length) == 1);
    require_done(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes,
                                     out + secret.size()) == 1);
    return sealed;
}

Result<std::string> SealingKey::open(std::string_view sealed, std::string_view context) const {
    constexpr auto refuse = [] {
        return fail(ErrorKind::corrupt,
                    "it was not encrypted with the key in catalog.secrets_key_file, or is damaged");
    };
    if (sealed.size() < kOverhead || sealed.front() != kForm) return refuse();
    const std::string_view nonce = sealed.substr(1, kNonceBytes);
    std::string tag(sealed.substr(sealed.size() - kTagBytes));
    const std::string_view text = sealed.substr(1 + kNonceBytes, sealed.size() - kOverhead);
    const Context cipher(EVP_CIPHER_CTX_new());
    require_done(cipher != nullptr);
    int length = 0;
    std::string secret(text.size(), '\0');
    require_done(EVP_DecryptInit_ex2(cipher.get(), EVP_aes_256_gcm(), bytes_.data(),
                                     bytes_of(nonce), nullptr) == 1);
    require_done(EVP_DecryptUpdate(cipher.get(), nullptr, &length, bytes_of(context),
                                   static_cast<int>(context.size())) == 1);
    require_done(EVP_DecryptUpdate(cipher.get(), bytes_of(secret, 0), &length, bytes_of(text),
                                   static_cast<int>(text.size())) == 1);
    require_done(
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, bytes_of(tag, 0)) == 1);
    if (EVP_DecryptFinal_ex(cipher.get(), bytes_of(secret, secret.size()), &length) != 1) {
        OPENSSL_cleanse(secret.data(), secret.size());
        return refuse();
    }
    return secret;
}

}  // namespace tidepool::conf
