// What all TLS connections of a configuration have in common: certificates by name, versions,
// ciphers and the keys of tickets.
#pragma once

#include "conf/digest.h"
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
        const std::vector<conf::CertificateSettings>& certificates, const conf::EdgeSettings& edge,
        std::shared_ptr<TicketKeys> keys);
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    // The server's side of a connection that begins, which must not outlive this. Null: no memory.
    Handle<SSL> begin() const;

    // Whether its client has shown a certificate that is allowed. Everybody is let shake hands:
    // TLS 1.3 tells a client what is wrong with it only afterwards, which an edge reports as a
    // garbled answer (contracts: cloudflare.md 2.1); a request can be refused in words.
    bool allows_client(SSL* ssl) const;
    // The same of one who shook hands in full with another context, whose authorities may be
    // others.
    bool allows_client_of_other(SSL* ssl) const;
    bool asks_clients() const { return !authorities_.empty(); }
    // Who may come in: contexts that have the same allow the same clients.
    const conf::Sha256Digest& clients() const { return clients_; }

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
    Result<void> load_authorities(const conf::EdgeSettings& edge);
    Result<void> ask_clients(SSL_CTX* context) const;
    bool has_allowed_key(const X509& shown) const;
    SSL_CTX* find(std::string_view host) const;

    static int on_server_name(SSL* ssl, int* alert, void* self);
    static int on_protocols(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_bytes,
                            const unsigned char* offered, unsigned int offered_bytes, void* self);
    static int on_ticket_begun(SSL* ssl, void* self);
    static SSL_TICKET_RETURN on_ticket_opened(SSL* ssl, SSL_SESSION* session,
                                              const unsigned char* name, std::size_t name_bytes,
                                              SSL_TICKET_STATUS status, void* self);
    std::int64_t rotation_s() const;
    static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                         EVP_MAC_CTX* mac, int is_sealing);
    int use_ticket_key(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                       EVP_MAC_CTX* mac, bool is_sealing) const;

    const conf::TlsSettings settings_;
    const std::shared_ptr<TicketKeys> keys_;
    std::vector<Handle<X509>> authorities_;        // of clients; none: they are not asked
    std::vector<conf::Sha256Digest> client_pins_;  // none: any key
    conf::Sha256Digest clients_{};
    std::vector<std::string> lines_;
    std::vector<std::string> warnings_;
    std::map<std::string, SSL_CTX*, std::less<>> by_name_;
    std::vector<Entry> entries_;  // the first is also for all other names
};

}  // namespace tidepool::tls
