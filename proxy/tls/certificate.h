// A certificate with its chain and key, as the operator's files have it.
#pragma once

#include "conf/digest.h"
#include "conf/error.h"
#include "conf/settings.h"
#include "proxy/tls/openssl.h"

#include <string>
#include <vector>

namespace tidepool::tls {

struct Certificate {
    Handle<X509> leaf;
    std::vector<Handle<X509>> chain;  // those between it and its root, in order
    Handle<EVP_PKEY> key;
    std::vector<std::string> names;  // of hosts, in lower case; one may begin with "*."
    std::string key_type;            // "ECDSA", "RSA", "Ed25519"
    std::string last_day;            // "2027-01-31", on which it ends
    bool is_in_force = true;         // false: not yet, or no longer
};

// Reads both files and sees that they fit together: the key is that of the certificate, and each
// certificate of the chain was issued by the next one; and that clients can shake hands with it, by
// the type of its key and what it was issued for. Errors name the file and what to do; a
// certificate that is out of its time is none, as it would come into it without anybody changing
// the file.
Result<Certificate> load_certificate(const conf::CertificateSettings& files);

// All certificates of a file, at least one. Errors name the file and what to do.
Result<std::vector<Handle<X509>>> load_pem_certificates(const std::string& path);

// SHA-256 of a certificate as it is (DER), and of its public key (SubjectPublicKeyInfo, RFC
// 7469, 2.4).
conf::Sha256Digest fingerprint_of(const X509& certificate);
conf::Sha256Digest key_digest_of(const X509& certificate);

}  // namespace tidepool::tls
