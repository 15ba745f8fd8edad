#include "proxy/tls/certificate.h"

#include "conf/ascii.h"
#include "conf/small_file.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace tidepool::tls {

namespace {

constexpr std::size_t kMostPemBytes = 1024 * 1024;

struct NamesDeleter {
    void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

Handle<BIO> read_from(const std::string& text) {
    return Handle<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Says that there is no password, instead of asking for one at the terminal.
int give_no_password(char*, int, int, void*) {
    return -1;
}

Result<Handle<EVP_PKEY>> load_private_key(const std::string& path) {
    auto text = conf::read_small_file(path, kMostPemBytes);
    if (!text) return std::unexpected(std::move(text.error()));
    const Handle<BIO> pem = read_from(*text);
    Handle<EVP_PKEY> key(PEM_read_bio_PrivateKey(pem.get(), nullptr, give_no_password, nullptr));
    OPENSSL_cleanse(text->data(), text->size());
    if (key) return key;
    return fail(ErrorKind::invalid,
                fmt::format("{}: no key can be read ({}): expected PEM that is not encrypted, "
                            "\"-----BEGIN PRIVATE KEY-----\"",
                            path, take_openssl_error()));
}

std::vector<std::string> names_of(const X509& leaf) {
    std::vector<std::string> names;
    const std::unique_ptr<GENERAL_NAMES, NamesDeleter> all(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(&leaf, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
        const GENERAL_NAME* const each = sk_GENERAL_NAME_value(all.get(), i);
        if (each->type != GEN_DNS) continue;
        const auto* const text =
            reinterpret_cast<const char*>(ASN1_STRING_get0_data(each->d.dNSName));
        const auto bytes = static_cast<std::size_t>(ASN1_STRING_length(each->d.dNSName));
        names.push_back(conf::lower_case(std::string_view(text, bytes)));
    }
    return names;
}

// `write` is one of OpenSSL's functions that turn an object into DER.
template <class Object>
conf::Sha256Digest digest_of_der(int (*write)(const Object*, unsigned char**),
                                 const Object* object) {
    unsigned char* text = nullptr;
    const int bytes = write(object, &text);
    if (bytes < 0) std::abort();  // no memory
    const conf::Sha256Digest digest = conf::sha256(
        std::string_view(reinterpret_cast<const char*>(text), static_cast<std::size_t>(bytes)));
    OPENSSL_free(text);
    return digest;
}

// "" where it has none.
std::string curve_of(const EVP_PKEY& key) {
    std::array<char, 64> name{};
    std::size_t bytes = 0;
    return EVP_PKEY_get_group_name(&key, name.data(), name.size(), &bytes) == 1
               ? std::string(name.data(), bytes)
               : std::string();
}

// None: of a type that clients do not take (RFC 8446, 4.2.3).
std::optional<std::string> type_of(const EVP_PKEY& key) {
    const std::string curve = curve_of(key);
    switch (EVP_PKEY_get_base_id(&key)) {
        case EVP_PKEY_EC:
            if (curve == SN_X9_62_prime256v1 || curve == SN_secp384r1 || curve == SN_secp521r1)
                return "ECDSA";
            return std::nullopt;
        case EVP_PKEY_RSA:
            return "RSA";
        case EVP_PKEY_ED25519:
            return "Ed25519";
        default:
            return std::nullopt;
    }
}

Result<void> check_chain(const Certificate& certificate, const std::string& path) {
    X509* issued = certificate.leaf.get();
    std::size_t number = 1;
    for (const Handle<X509>& issuer : certificate.chain) {
        if (X509_check_issued(issuer.get(), issued) != X509_V_OK)
            return fail(ErrorKind::invalid,
                        fmt::format("{}: certificate {} was not issued by certificate {}: put "
                                    "the server's first and behind each the one that issued it",
                                    path, number, number + 1));
        issued = issuer.get();
        ++number;
    }
    return {};
}

// That clients take it for a server's. It always signs with its key, as all that is spoken has
// forward secrecy.
Result<void> check_use(Certificate& certificate, const std::string& path) {
    const auto type = type_of(*certificate.key);
    if (!type) {
        const std::string curve = curve_of(*certificate.key);
        return fail(ErrorKind::invalid,
                    fmt::format("{}: clients take no key of type {}{}{}: have a certificate issued "
                                "for one of ECDSA P-256 (or P-384, P-521), RSA or Ed25519",
                                path, EVP_PKEY_get0_type_name(certificate.key.get()),
                                curve.empty() ? "" : " ", curve));
    }
    certificate.key_type = *type;
    X509* const leaf = certificate.leaf.get();
    if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) == 1 &&
        (X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) != 0)
        return {};
    ERR_clear_error();
    return fail(ErrorKind::invalid,
                fmt::format("{}: the first certificate is not for a server: have one issued with "
                            "extendedKeyUsage serverAuth and keyUsage digitalSignature, or "
                            "without either",
                            path));
}

}  // namespace

Result<std::vector<Handle<X509>>> load_pem_certificates(const std::string& path) {
    auto text = conf::read_small_file(path, kMostPemBytes);
    if (!text) return std::unexpected(std::move(text.error()));
    ERR_clear_error();
    const Handle<BIO> pem = read_from(*text);
    std::vector<Handle<X509>> chain;
    while (X509* const next = PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr))
        chain.emplace_back(next);
    const unsigned long why = ERR_peek_last_error();
    const bool is_end =
        ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE;
    const std::string reason = take_openssl_error();
    if (chain.empty() || !is_end)
        return fail(ErrorKind::invalid,
                    fmt::format("{}: certificate {} cannot be read ({}): expected PEM, "
                                "\"-----BEGIN CERTIFICATE-----\"",
                                path, chain.size() + 1, reason));
    return chain;
}

conf::Sha256Digest fingerprint_of(const X509& certificate) {
    return digest_of_der(i2d_X509, &certificate);
}

conf::Sha256Digest key_digest_of(const X509& certificate) {
    return digest_of_der<X509_PUBKEY>(i2d_X509_PUBKEY, X509_get_X509_PUBKEY(&certificate));
}

Result<Certificate> load_certificate(const conf::CertificateSettings& files) {
    ERR_clear_error();
    auto chain = load_pem_certificates(files.chain_file);
    if (!chain) return std::unexpected(std::move(chain.error()));
    auto key = load_private_key(files.key_file);
    if (!key) return std::unexpected(std::move(key.error()));
    Certificate certificate;
    certificate.leaf = std::move(chain->front());
    chain->erase(chain->begin());
    certificate.chain = std::move(*chain);
    certificate.key = std::move(*key);
    if (X509_check_private_key(certificate.leaf.get(), certificate.key.get()) != 1) {
        ERR_clear_error();
        return fail(ErrorKind::invalid,
                    fmt::format("{} is not the key of the first certificate in {}", files.key_file,
                                files.chain_file));
    }
    if (auto checked = check_chain(certificate, files.chain_file); !checked)
        return std::unexpected(std::move(checked.error()));
    certificate.names = names_of(*certificate.leaf);
    if (certificate.names.empty())
        return fail(ErrorKind::invalid,
                    fmt::format("{}: the first certificate names no host (subjectAltName)",
                                files.chain_file));
    if (auto checked = check_use(certificate, files.chain_file); !checked)
        return std::unexpected(std::move(checked.error()));
    std::tm ends{};
    ASN1_TIME_to_tm(X509_get0_notAfter(certificate.leaf.get()), &ends);
    certificate.last_day = fmt::format("{:%Y-%m-%d}", ends);
    certificate.is_in_force =
        X509_cmp_current_time(X509_get0_notBefore(certificate.leaf.get())) < 0 &&
        X509_cmp_current_time(X509_get0_notAfter(certificate.leaf.get())) > 0;
    return certificate;
}

}  // namespace tidepool::tls
