// A certificate of a test's own, made on the spot.
#pragma once

#include "conf/settings.h"
#include "proxy/tls/openssl.h"
#include "tests/support/folder.h"

#include <cstdio>
#include <string>
#include <utility>

#include <catch2/catch.hpp>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace tidepool::test {

// Signed by itself, good for a day: an authority and its server in one. Names as OpenSSL writes
// them, "DNS:images.example,IP:127.0.0.1".
struct SelfSigned {
    tls::Handle<EVP_PKEY> key{EVP_EC_gen("P-256")};
    tls::Handle<X509> certificate{X509_new()};

    explicit SelfSigned(const std::string& alternative_names) {
        REQUIRE(key);
        X509* made = certificate.get();
        X509_set_version(made, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
        X509_gmtime_adj(X509_getm_notBefore(made), -3600);
        X509_gmtime_adj(X509_getm_notAfter(made), 86'400);
        X509_set_pubkey(made, key.get());
        const auto* name = reinterpret_cast<const unsigned char*>("test authority");
        X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC, name, -1, -1,
                                   0);
        X509_set_issuer_name(made, X509_get_subject_name(made));
        for (const auto& [kind, value] :
             {std::pair{NID_subject_alt_name, alternative_names.c_str()},
              std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
            X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
            REQUIRE(extension != nullptr);
            X509_add_ext(made, extension, -1);
            X509_EXTENSION_free(extension);
        }
        REQUIRE(X509_sign(made, key.get(), EVP_sha256()) > 0);
    }
    // Both files, below the folder, as a server is given them.
    conf::CertificateSettings write_both(const Folder& folder) const {
        conf::CertificateSettings files{.chain_file = folder.path("chain.pem"),
                                        .key_file = folder.path("key.pem")};
        write(files.chain_file);
        write_key(files.key_file);
        return files;
    }
    // As PEM.
    void write(const std::string& path) const {
        std::FILE* file = std::fopen(path.c_str(), "w");
        REQUIRE(file != nullptr);
        REQUIRE(PEM_write_X509(file, certificate.get()) == 1);
        std::fclose(file);
    }
    void write_key(const std::string& path) const {
        std::FILE* file = std::fopen(path.c_str(), "w");
        REQUIRE(file != nullptr);
        REQUIRE(PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
        std::fclose(file);
    }
};

}  // namespace tidepool::test
