// OpenSSL's objects as values that end by themselves, and its errors as text.
#pragma once

#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

namespace tidepool::tls {

struct OpensslDeleter {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509_STORE_CTX* check) const { X509_STORE_CTX_free(check); }
    void operator()(BIO* bio) const { BIO_free(bio); }
};
template <class T>
using Handle = std::unique_ptr<T, OpensslDeleter>;

// What OpenSSL said of the last failure of this thread, in words, which are then forgotten.
std::string take_openssl_error();

}  // namespace tidepool::tls
