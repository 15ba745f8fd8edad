#include "conf/digest.h"

#include "conf/hex_digit.h"

#include <algorithm>
#include <climits>
#include <cstdlib>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

namespace tidepool::conf {

namespace {

// These digests are always there; failure means memory is gone.
void require(bool done) {
    if (!done) std::abort();
}

// Looked up once: doing so for each content costs as much as hashing a small one.
const EVP_MD* sha256_method() {
    static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    require(method != nullptr);
    return method;
}

EVP_MD_CTX* copy_of(const EVP_MD_CTX* running) {
    EVP_MD_CTX* const copy = EVP_MD_CTX_new();
    require(copy != nullptr && EVP_MD_CTX_copy_ex(copy, running) == 1);
    return copy;
}

}  // namespace

std::string hex(std::span<const std::uint8_t> bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::uint8_t byte : bytes) {
        text.push_back(kDigits[byte >> 4]);
        text.push_back(kDigits[byte & 15]);
    }
    return text;
}

std::optional<Sha256Digest> parse_sha256(std::string_view text) {
    Sha256Digest digest{};
    const auto bytes = parse_hex(text);
    if (!bytes || bytes->size() != digest.size()) return std::nullopt;
    std::ranges::copy(*bytes, digest.begin());
    return digest;
}

std::optional<std::vector<std::uint8_t>> parse_hex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    std::vector<std::uint8_t> bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_value(text[i]);
        const int low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes.push_back(static_cast<std::uint8_t>(high * 16 + low));
    }
    return bytes;
}

std::string base64(std::span<const std::uint8_t> bytes) {
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // the library ends it with a zero
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                     static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::string base64url(std::span<const std::uint8_t> bytes) {
    std::string text = base64(bytes);
    text.erase(std::min(text.find('='), text.size()));
    std::ranges::replace(text, '+', '-');
    std::ranges::replace(text, '/', '_');
    return text;
}

namespace {

constexpr std::uint8_t kNoSextet = 64;

// What each character stands for in base64url.
constexpr std::array<std::uint8_t, 256> sextet_table() {
    constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::array<std::uint8_t, 256> table{};
    table.fill(kNoSextet);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i)
        table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
    return table;
}
constexpr std::array<std::uint8_t, 256> kSextets = sextet_table();

}  // namespace

std::optional<std::vector<std::uint8_t>> parse_base64url(std::string_view text) {
    if (text.size() % 4 == 1) return std::nullopt;
    std::vector<std::uint8_t> bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t bits = 0;  // only the last `count` are still to be written
    unsigned count = 0;
    for (const char c : text) {
        const std::uint8_t sextet = kSextets[static_cast<unsigned char>(c)];
        if (sextet == kNoSextet) return std::nullopt;
        bits = bits << 6 | sextet;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes.push_back(static_cast<std::uint8_t>(bits >> count & 0xFF));
    }
    if ((bits & ((1U << count) - 1)) != 0) return std::nullopt;
    return bytes;
}

std::optional<std::vector<std::uint8_t>> parse_base64(std::string_view text) {
    if (text.size() % 4 != 0 || text.find_first_of("-_") != text.npos) return std::nullopt;
    for (int padding = 0; padding < 2 && text.ends_with('='); ++padding)
        text.remove_suffix(1);
    std::string other(text);
    std::ranges::replace(other, '+', '-');
    std::ranges::replace(other, '/', '_');
    return parse_base64url(other);
}

bool equal_in_constant_time(std::string_view one, std::string_view other) {
    return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

Sha256Digest sha256(std::string_view bytes) {
    Sha256 running;
    running.update(bytes);
    return running.finish();
}

// RFC 2104. OpenSSL 3's own looks its algorithm up by name at each call, which takes longer than
// what it does then.
Sha256Digest hmac_sha256(std::span<const std::uint8_t> key, std::string_view message) {
    constexpr std::size_t kBlock = 64;
    constexpr std::uint8_t kInner = 0x36;
    constexpr std::uint8_t kOuter = 0x5c;
    Sha256Digest shortened{};
    if (key.size() > kBlock) {
        shortened = sha256({reinterpret_cast<const char*>(key.data()), key.size()});
        key = shortened;
    }
    const auto hash = [key](std::uint8_t pad, std::span<const char> bytes) {
        std::array<char, kBlock> block;
        for (std::size_t i = 0; i < kBlock; ++i)
            block[i] = static_cast<char>((i < key.size() ? key[i] : 0) ^ pad);
        Sha256 running;
        running.update(block);
        running.update(bytes);
        OPENSSL_cleanse(block.data(), block.size());
        return running.finish();
    };
    const Sha256Digest inner = hash(kInner, message);
    return hash(kOuter, {reinterpret_cast<const char*>(inner.data()), inner.size()});
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    require(context_ != nullptr && EVP_DigestInit_ex2(context_, sha256_method(), nullptr) == 1);
}

Sha256::Sha256(const Sha256& other) : context_(copy_of(other.context_)) {}

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

Md5::Md5() : context_(EVP_MD_CTX_new()) {
    require(context_ != nullptr && EVP_DigestInit_ex2(context_, EVP_md5(), nullptr) == 1);
}

Md5::Md5(const Md5& other) : context_(copy_of(other.context_)) {}

Md5::~Md5() {
    EVP_MD_CTX_free(context_);
}

void Md5::update(std::span<const char> bytes) {
    require(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
}

Md5Digest Md5::finish() {
    Md5Digest digest{};
    require(EVP_DigestFinal_ex(context_, digest.data(), nullptr) == 1);
    return digest;
}

Md5Digest md5(std::string_view bytes) {
    Md5 running;
    running.update(bytes);
    return running.finish();
}

Sha1::Sha1() : context_(EVP_MD_CTX_new()) {
    require(context_ != nullptr && EVP_DigestInit_ex2(context_, EVP_sha1(), nullptr) == 1);
}

Sha1::~Sha1() {
    EVP_MD_CTX_free(context_);
}

void Sha1::update(std::span<const char> bytes) {
    require(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
}

Sha1Digest Sha1::finish() {
    Sha1Digest digest{};
    require(EVP_DigestFinal_ex(context_, digest.data(), nullptr) == 1);
    return digest;
}

namespace {

constexpr std::array<unsigned char, 12> kOneNonce{};

// With the process's key, to be copied: making it expands the key and looks up the algorithm.
const EVP_CIPHER_CTX* keyed_fingerprint() {
    static const EVP_CIPHER_CTX* const keyed = [] {
        std::array<unsigned char, 16> key{};
        require(RAND_bytes(key.data(), key.size()) == 1);
        EVP_CIPHER* const method = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);
        EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
        require(method != nullptr && context != nullptr &&
                EVP_EncryptInit_ex2(context, method, key.data(), kOneNonce.data(), nullptr) == 1);
        OPENSSL_cleanse(key.data(), key.size());
        return context;
    }();
    return keyed;
}

}  // namespace

Fingerprint::Fingerprint() : context_(EVP_CIPHER_CTX_new()) {
    require(context_ != nullptr && EVP_CIPHER_CTX_copy(context_, keyed_fingerprint()) == 1);
}

Fingerprint::~Fingerprint() {
    EVP_CIPHER_CTX_free(context_);
}

void Fingerprint::update(std::span<const char> bytes) {
    while (!bytes.empty()) {
        const std::size_t count = std::min<std::size_t>(bytes.size(), INT_MAX);
        int ignored = 0;
        require(EVP_EncryptUpdate(context_, nullptr, &ignored,
                                  reinterpret_cast<const unsigned char*>(bytes.data()),
                                  static_cast<int>(count)) == 1);
        bytes = bytes.subspan(count);
    }
}

FingerprintDigest Fingerprint::finish() {
    FingerprintDigest digest{};
    int ignored = 0;
    unsigned char nothing = 0;
    require(EVP_EncryptFinal_ex(context_, &nothing, &ignored) == 1);
    require(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, digest.size(), digest.data()) ==
            1);
    return digest;
}

}  // namespace tidepool::conf
