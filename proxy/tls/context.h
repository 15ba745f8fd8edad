// What all TLS connections of a configuration have in common: certificates by name, versions,
// ciphers and the keys of tickets.
#pragma once

#include "conf/error.h"
#include "conf/settings.h"
#include "proxy/tls/openssl.h"
#include "proxy/tls/ticket_keys.h"

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::tls {

// Constant once it is made, so any thread; what it is made of is the configuration of one moment,
// and connections keep theirs.
class Context {
  public:
    // Reads the files of the certificates; blocks. Errors name the certificate, the file and what
    // to do. `keys` are shared by all contexts of the process, so that tickets outlive a reload.
    static Result<std::shared_ptr<const Context>> load(
        const conf::TlsSettings& settings,
        const std::vector<conf::CertificateSettings>& certificates,
        std::shared_ptr<TicketKeys> keys);
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    // The server's side of a connection that begins, which must not outlive this. Null: no memory.
    Handle<SSL> begin() const;

    const std::shared_ptr<TicketKeys>& keys() const { return keys_; }

    // For each certificate a line about its names, key and end, as `tidepool check` prints it.
    const std::vector<std::string>& lines() const { return lines_; }
    // Those of them that are not in force today, the same.
    const std::vector<std::string>& warnings() const { return warnings_; }

    // The wildcard that a certificate may have in the place of this host (RFC 6125, 6.4.3), ""
    // where it has one label only. Pure.
    static std::string wildcard_of(std::string_view host);

  private:
    struct Entry {
        std::vector<std::size_t> certificates;
        Handle<SSL_CTX> context;
    };

    Context(const conf::TlsSettings& settings, std::shared_ptr<TicketKeys> keys)
        : settings_(settings), keys_(std::move(keys)) {}

    Result<void> add_entries(const std::vector<struct Certificate>& certificates);
    Result<Handle<SSL_CTX>> make_context(const std::vector<struct Certificate>& certificates,
                                         const std::vector<std::size_t>& chosen) const;
    SSL_CTX* find(std::string_view host) const;

    static int on_server_name(SSL* ssl, int* alert, void* self);
    static int on_protocols(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_bytes,
                            const unsigned char* offered, unsigned int offered_bytes, void* self);
    static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                         EVP_MAC_CTX* mac, int is_sealing);
    int use_ticket_key(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                       EVP_MAC_CTX* mac, bool is_sealing) const;

    const conf::TlsSettings settings_;
    const std::shared_ptr<TicketKeys> keys_;
    std::vector<std::string> lines_;
    std::vector<std::string> warnings_;
    std::map<std::string, SSL_CTX*, std::less<>> by_name_;
    std::vector<Entry> entries_;  // the first is also for all other names
};

}  // namespace tidepool::tls
