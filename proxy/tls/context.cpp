#include "proxy/tls/context.h"

#include "conf/ascii.h"
#include "proxy/tls/certificate.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>

namespace tidepool::tls {

namespace {

// Of TLS 1.2 only what has forward secrecy and seals as it encrypts (RFC 9325, 4.2), as all of
// TLS 1.3 do. Keys of 128 bits come first, which cost a quarter less; so it is with the edge
// (contracts: cloudflare.md 1.5). Who has no AES in hardware says so by asking for ChaCha20 first.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr const char* kCiphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";
// Of a client's certificate, between it and its root; and of all that it shows.
constexpr int kMostIssuers = 4;
constexpr long kMostClientBytes = 16L * 1024;
constexpr std::string_view kHttp11 = "http/1.1";
constexpr std::string_view kHttp2 = "h2";
// Of TLS 1.3, with each connection: enough for the next one, as an edge comes with one after the
// other, and each costs as much as a small answer.
constexpr std::size_t kTickets = 1;

Result<void> refused_by_openssl(const std::string& what) {
    return fail(ErrorKind::invalid, fmt::format("{}: {}", what, take_openssl_error()));
}

Result<void> use_certificate(SSL_CTX* context, const Certificate& certificate, std::size_t number) {
    const std::string what = fmt::format("certificate[{}] cannot be used", number);
    if (SSL_CTX_use_certificate(context, certificate.leaf.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context, certificate.key.get()) != 1)
        return refused_by_openssl(what);
    for (const Handle<X509>& each : certificate.chain) {
        if (SSL_CTX_add1_chain_cert(context, each.get()) != 1) return refused_by_openssl(what);
    }
    return {};
}

// "certificate[1]: ECDSA for images.example, *.images.example until 2027-01-31".
std::string line_of(const Certificate& certificate, std::size_t number) {
    return fmt::format("certificate[{}]: {} for {} until {}", number, certificate.key_type,
                       fmt::join(certificate.names, ", "), certificate.last_day);
}

// None: this process has not given out a ticket for it.
std::optional<std::int64_t> handshake_second_of(SSL_SESSION* session) {
    void* data = nullptr;
    std::size_t bytes = 0;
    std::int64_t second = 0;
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &bytes) != 1 || bytes != sizeof second)
        return std::nullopt;
    std::memcpy(&second, data, sizeof second);
    return second;
}

}  // namespace

std::string Context::wildcard_of(std::string_view host) {
    const std::size_t dot = host.find('.');
    return dot == host.npos ? std::string() : fmt::format("*{}", host.substr(dot));
}

Result<std::shared_ptr<const Context>> Context::load(
    const conf::TlsSettings& settings, const std::vector<conf::CertificateSettings>& certificates,
    const conf::EdgeSettings& edge, std::shared_ptr<TicketKeys> keys) {
    std::vector<Certificate> loaded;
    std::shared_ptr<Context> context(new Context(settings, std::move(keys)));
    for (const conf::CertificateSettings& files : certificates) {
        auto certificate = load_certificate(files);
        const std::size_t number = loaded.size() + 1;
        if (!certificate)
            return fail(certificate.error().kind,
                        fmt::format("certificate[{}]: {}", number, certificate.error().text));
        context->lines_.push_back(line_of(*certificate, number));
        if (!certificate->is_in_force) context->warnings_.push_back(context->lines_.back());
        loaded.push_back(std::move(*certificate));
    }
    if (auto read = context->load_authorities(edge); !read)
        return std::unexpected(std::move(read.error()));
    if (auto added = context->add_entries(loaded); !added)
        return std::unexpected(std::move(added.error()));
    return context;
}

// For each name the certificates that have it, one of each type of key; OpenSSL takes of these the
// one that the client understands.
Result<void> Context::add_entries(const std::vector<Certificate>& certificates) {
    std::vector<std::string> names;  // in the order of the file: the first certificate's come first
    std::map<std::string, std::vector<std::size_t>> having;
    for (std::size_t i = 0; i < certificates.size(); ++i) {
        for (const std::string& name : certificates[i].names) {
            std::vector<std::size_t>& others = having[name];
            if (others.empty()) names.push_back(name);
            const bool is_known = std::ranges::any_of(others, [&](std::size_t other) {
                return certificates[other].key_type == certificates[i].key_type;
            });
            if (!is_known) others.push_back(i);
        }
    }
    for (const std::string& name : names) {
        auto entry = std::ranges::find(entries_, having[name], &Entry::certificates);
        if (entry == entries_.end()) {
            auto made = make_context(certificates, having[name]);
            if (!made) return std::unexpected(std::move(made.error()));
            entries_.push_back({having[name], std::move(*made)});
            entry = std::prev(entries_.end());
        }
        by_name_.emplace(name, entry->context.get());
    }
    return {};
}

Result<Handle<SSL_CTX>> Context::make_context(const std::vector<Certificate>& certificates,
                                              const std::vector<std::size_t>& chosen) const {
    ERR_clear_error();
    Handle<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
    const int oldest = settings_.min_version == conf::TlsSettings::Version::tls1_3 ? TLS1_3_VERSION
                                                                                   : TLS1_2_VERSION;
    if (!context || SSL_CTX_set_min_proto_version(context.get(), oldest) != 1 ||
        SSL_CTX_set_cipher_list(context.get(), kCiphers) != 1 ||
        SSL_CTX_set_ciphersuites(context.get(), kCiphers13) != 1 ||
        SSL_CTX_set1_groups_list(context.get(), kGroups) != 1 ||
        // A session of other clients is none of this context's.
        SSL_CTX_set_session_id_context(context.get(), clients_.data(),
                                       static_cast<unsigned>(clients_.size())) != 1)
        return fail(ErrorKind::invalid, "TLS cannot be set up: " + take_openssl_error());
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE |
                                           SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
    // A connection that waits for its next request holds no buffers; what is sent anew may have
    // moved. The chain is what the file has: nothing is looked for, with each handshake anew.
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(context.get(), 1);
    // Sessions are kept by the clients, sealed.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), kTickets);
    SSL_CTX_set_timeout(context.get(), rotation_s());
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context.get(), &Context::on_ticket);
    SSL_CTX_set_session_ticket_cb(context.get(), &Context::on_ticket_begun,
                                  &Context::on_ticket_opened, const_cast<Context*>(this));
    SSL_CTX_set_app_data(context.get(), const_cast<Context*>(this));
    SSL_CTX_set_tlsext_servername_callback(context.get(), &Context::on_server_name);
    SSL_CTX_set_tlsext_servername_arg(context.get(), const_cast<Context*>(this));
    SSL_CTX_set_alpn_select_cb(context.get(), &Context::on_protocols, const_cast<Context*>(this));
    if (auto asked = ask_clients(context.get()); !asked)
        return std::unexpected(std::move(asked.error()));
    for (const std::size_t i : chosen) {
        if (auto used = use_certificate(context.get(), certificates[i], i + 1); !used)
            return std::unexpected(std::move(used.error()));
    }
    return context;
}

Result<void> Context::load_authorities(const conf::EdgeSettings& edge) {
    std::string identity = "tidepool";
    std::size_t number = 0;
    for (const std::string& path : edge.client_ca_files) {
        ++number;
        auto loaded = load_pem_certificates(path);
        if (!loaded)
            return fail(loaded.error().kind,
                        fmt::format("edge.client_ca_files[{}]: {}", number, loaded.error().text));
        for (Handle<X509>& each : *loaded) {
            identity += conf::hex(fingerprint_of(*each));
            authorities_.push_back(std::move(each));
        }
    }
    identity += " pins ";
    for (const std::string& pin : edge.client_pins) {
        client_pins_.push_back(conf::parse_sha256(pin).value());
        identity += pin;
    }
    clients_ = conf::sha256(identity);
    return {};
}

// They are asked, and judged later: see allows_client().
Result<void> Context::ask_clients(SSL_CTX* context) const {
    if (authorities_.empty()) return {};
    X509_STORE* const store = SSL_CTX_get_cert_store(context);
    // An authority may be one between a root and what it issued, which need not be known then.
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    for (const Handle<X509>& each : authorities_) {
        if (X509_STORE_add_cert(store, each.get()) != 1 ||
            SSL_CTX_add_client_CA(context, each.get()) != 1)
            return refused_by_openssl("edge.client_ca_files cannot be used");
    }
    // More would only be work for us: what a client shows is short, and the first thing that is
    // wrong with it settles it.
    SSL_CTX_set_verify_depth(context, kMostIssuers);
    SSL_CTX_set_max_cert_list(context, kMostClientBytes);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    const auto judge = [](X509_STORE_CTX* shown, void*) {
        X509_verify_cert(shown);
        return 1;
    };
    SSL_CTX_set_cert_verify_callback(context, judge, nullptr);
    return {};
}

bool Context::allows_client(SSL* ssl) const {
    const X509* const shown = SSL_get0_peer_certificate(ssl);
    if (authorities_.empty() || shown == nullptr || SSL_get_verify_result(ssl) != X509_V_OK)
        return false;
    // A session that is taken up again brings what was found when it began.
    return X509_cmp_current_time(X509_get0_notAfter(shown)) > 0 && has_allowed_key(*shown);
}

bool Context::has_allowed_key(const X509& shown) const {
    return client_pins_.empty() ||
           std::ranges::find(client_pins_, key_digest_of(shown)) != client_pins_.end();
}

bool Context::allows_client_of_other(SSL* ssl) const {
    X509* const shown = SSL_get0_peer_certificate(ssl);
    if (authorities_.empty() || shown == nullptr || !has_allowed_key(*shown)) return false;
    ERR_clear_error();
    const Handle<X509_STORE_CTX> check(X509_STORE_CTX_new());
    X509_STORE* const store = SSL_CTX_get_cert_store(entries_.front().context.get());
    if (!check || X509_STORE_CTX_init(check.get(), store, shown, SSL_get_peer_cert_chain(ssl)) != 1)
        return false;
    X509_STORE_CTX_set_default(check.get(), "ssl_client");
    X509_STORE_CTX_set_depth(check.get(), kMostIssuers);
    return X509_verify_cert(check.get()) == 1;
}

Handle<SSL> Context::begin() const {
    Handle<SSL> ssl(SSL_new(entries_.front().context.get()));
    if (ssl) SSL_set_accept_state(ssl.get());
    return ssl;
}

SSL_CTX* Context::find(std::string_view host) const {
    if (host.ends_with('.')) host.remove_suffix(1);
    const std::string name = conf::lower_case(host);
    auto found = by_name_.find(name);
    if (found == by_name_.end()) found = by_name_.find(wildcard_of(name));
    return found == by_name_.end() ? entries_.front().context.get() : found->second;
}

// RFC 6066, 3. A name that no certificate has is answered with the first one, as other servers do:
// the client sees that it is not the right one, and why.
int Context::on_server_name(SSL* ssl, int*, void* self) {
    const char* const host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (host == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, static_cast<const Context*>(self)->find(host));
    return SSL_TLSEXT_ERR_OK;
}

// RFC 7301, 3.2: who offers protocols, and none that is spoken here, is told so.
int Context::on_protocols(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes,
                          const unsigned char* offered, unsigned int offered_bytes, void* self) {
    const std::string_view all(reinterpret_cast<const char*>(offered), offered_bytes);
    const bool may_be_http2 = static_cast<const Context*>(self)->settings_.http2;
    *chosen = nullptr;
    for (std::size_t at = 0; at < all.size();) {
        const auto bytes = static_cast<unsigned char>(all[at]);
        const std::string_view name = all.substr(at + 1, bytes);
        const bool is_http2 = may_be_http2 && name == kHttp2;
        if (is_http2 || (name == kHttp11 && *chosen == nullptr)) {
            *chosen = offered + at + 1;
            *chosen_bytes = bytes;
        }
        if (is_http2) break;  // ours to prefer
        at += 1U + bytes;
    }
    return *chosen == nullptr ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK;
}

int Context::on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                       EVP_MAC_CTX* mac, int is_sealing) {
    const auto* const self =
        static_cast<const Context*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    return self->use_ticket_key(name, iv, cipher, mac, is_sealing == 1);
}

// Each ticket says when the whole handshake was that it comes of, its own or one several tickets
// ago.
int Context::on_ticket_begun(SSL* ssl, void* self) {
    SSL_SESSION* const session = SSL_get_session(ssl);
    if (handshake_second_of(session)) return 1;
    const std::int64_t now_s = static_cast<const Context*>(self)->keys_->now_s();
    return SSL_SESSION_set1_ticket_appdata(session, &now_s, sizeof now_s);
}

// Clients of TLS 1.3 use a ticket once, so that nobody sees who comes again (RFC 8446, C.4): each
// connection leaves them one for the next, else every second one were a whole handshake. All that
// come of one handshake end with the keys of its time, as they should have a limit (4.6.1).
SSL_TICKET_RETURN Context::on_ticket_opened(SSL* ssl, SSL_SESSION* session, const unsigned char*,
                                            std::size_t, SSL_TICKET_STATUS status, void* self) {
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    const auto& context = *static_cast<const Context*>(self);
    const auto since_s = handshake_second_of(session);
    if (!since_s || context.keys_->now_s() - *since_s >= 2 * context.rotation_s())
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    const bool is_renewed =
        status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION;
    return is_renewed ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

std::int64_t Context::rotation_s() const {
    return settings_.ticket_rotation / std::chrono::seconds(1);
}

// As SSL_CTX_set_tlsext_ticket_key_evp_cb(3) wants it: -1 is an error, 0 no such key, 1 good, 2
// good and to be replaced.
int Context::use_ticket_key(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                            EVP_MAC_CTX* mac, bool is_sealing) const {
    TicketKeys::Found found;
    if (is_sealing) {
        found.key = keys_->current(rotation_s());
        std::memcpy(name, found.key.name.data(), found.key.name.size());
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
    } else {
        const auto known = keys_->find(std::span<const std::uint8_t, 16>(name, 16), rotation_s());
        if (!known) return 0;
        found = *known;
    }
    char digest[] = "SHA256";
    const std::array<OSSL_PARAM, 3> with{
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, found.key.mac.data(),
                                          found.key.mac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    const auto start = is_sealing ? EVP_EncryptInit_ex : EVP_DecryptInit_ex;
    if (EVP_MAC_CTX_set_params(mac, with.data()) != 1 ||
        start(cipher, EVP_aes_256_cbc(), nullptr, found.key.cipher.data(), iv) != 1)
        return -1;
    return is_sealing || found.is_current ? 1 : 2;
}

}  // namespace tidepool::tls
