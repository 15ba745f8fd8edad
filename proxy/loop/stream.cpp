#include "proxy/loop/stream.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace tidepool::loop {

namespace {

// What TLS reads from the kernel at once: a few records of 16 KiB.
constexpr std::size_t kReadAheadBytes = 64UL * 1024;

void require(bool done) {
    if (!done) std::abort();  // no memory, or an option that this OpenSSL does not have
}

bool is_address(const std::string& host) {
    std::array<unsigned char, sizeof(in6_addr)> ignored{};
    return inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
           inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

// Whether the system's folder of authorities has them by the names that OpenSSL looks for.
bool has_folder_of_authorities() {
    std::error_code error;
    for (const auto& each :
         std::filesystem::directory_iterator(X509_get_default_cert_dir(), error)) {
        if (each.path().extension() == ".0") return true;
    }
    return false;
}

std::string openssl_reason() {
    const unsigned long code = ERR_peek_last_error();
    const char* reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : "the connection broke";
}

}  // namespace

void TlsContext::prepare() {
    if (context_ != nullptr) return;
    context_ = SSL_CTX_new(TLS_client_method());
    require(context_ != nullptr);
    require(SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION) == 1);
    require(SSL_CTX_set_default_verify_dir(context_) == 1);
    if (std::getenv(X509_get_default_cert_file_env()) != nullptr || !has_folder_of_authorities())
        require(SSL_CTX_set_default_verify_file(context_) == 1);
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                   SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_read_ahead(context_, 1);
    SSL_CTX_set_default_read_buffer_len(context_, kReadAheadBytes);
    constexpr std::array<unsigned char, 9> kHttp{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    require(SSL_CTX_set_alpn_protos(context_, kHttp.data(), kHttp.size()) == 0);
}

TlsContext::~TlsContext() {
    SSL_CTX_free(context_);
}

TlsSession::~TlsSession() {
    SSL_SESSION_free(session_);
}

Stream::~Stream() {
    if (tls_ == nullptr) return;
    // Without this OpenSSL takes the session for broken and forgets it.
    SSL_set_shutdown(tls_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls_);
}

Task<std::optional<Error>> Stream::secure(TlsContext& context, const std::string& host,
                                          const TlsSession& session) {
    context.prepare();
    tls_ = SSL_new(context.context_);
    require(tls_ != nullptr && SSL_set_fd(tls_, socket_.fd()) == 1);
    if (is_address(host)) {
        require(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls_), host.c_str()) == 1);
    } else {
        SSL_set_hostflags(tls_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (SSL_set1_host(tls_, host.c_str()) != 1 ||
            SSL_set_tlsext_host_name(tls_, host.c_str()) != 1)
            co_return Error{ErrorKind::misconfigured, "no name that TLS knows: " + host};
    }
    if (session.session_ != nullptr) SSL_set_session(tls_, session.session_);
    while (true) {
        ERR_clear_error();
        const int result = SSL_connect(tls_);
        if (result == 1) co_return std::nullopt;
        const Step step = judge_tls(result);
        if (step != Step::must_wait) {
            const long verified = SSL_get_verify_result(tls_);
            if (verified != X509_V_OK)
                co_return Error{ErrorKind::misconfigured,
                                fmt::format("the certificate of {} is not good: {}", host,
                                            X509_verify_cert_error_string(verified))};
            co_return Error{ErrorKind::io,
                            fmt::format("TLS with {} failed: {}", host, error_.text)};
        }
        switch (co_await wait()) {
            case Wake::ready:
                break;
            case Wake::timed_out:
                co_return Error{ErrorKind::timed_out, "no TLS handshake in time with " + host};
            case Wake::closed:
                co_return Error{ErrorKind::closed, "given up"};
        }
    }
}

void Stream::save_session(TlsSession& session) const {
    if (tls_ == nullptr) return;
    SSL_SESSION* latest = SSL_get1_session(tls_);
    if (latest == nullptr || SSL_SESSION_is_resumable(latest) != 1) {
        SSL_SESSION_free(latest);
        return;
    }
    SSL_SESSION_free(std::exchange(session.session_, latest));
}

// What a call of OpenSSL's that gave no bytes means. Reading may have to write, and the other way.
Step Stream::judge_tls(int result) {
    const int system_error = errno;
    switch (SSL_get_error(tls_, result)) {
        case SSL_ERROR_WANT_READ:
            socket_.not_readable();
            waits_to_write_ = false;
            return Step::must_wait;
        case SSL_ERROR_WANT_WRITE:
            socket_.not_writable();
            waits_to_write_ = true;
            return Step::must_wait;
        case SSL_ERROR_ZERO_RETURN:
            return Step::ended;
        case SSL_ERROR_SYSCALL:
            error_ = {ErrorKind::io, system_error == 0
                                         ? "the connection broke"
                                         : fail_errno(system_error, "TLS").error().text};
            return Step::failed;
        default:
            error_ = {ErrorKind::io, openssl_reason()};
            return Step::failed;
    }
}

Step Stream::read(std::span<char> room, std::size_t& got) {
    if (tls_ != nullptr) {
        ERR_clear_error();
        errno = 0;
        const int result = SSL_read_ex(tls_, room.data(), room.size(), &got);
        return result == 1 ? Step::done : judge_tls(result);
    }
    if (must_wait()) return Step::must_wait;
    ssize_t received = 0;
    do {
        received = recv(socket_.fd(), room.data(), room.size(), 0);
    } while (received < 0 && errno == EINTR);
    if (received > 0) {
        got = static_cast<std::size_t>(received);
        if (got < room.size()) socket_.drained();
        return Step::done;
    }
    if (received == 0) return Step::ended;
    if (errno != EAGAIN) {
        error_ = {ErrorKind::io, fail_errno(errno, "recv").error().text};
        return Step::failed;
    }
    socket_.not_readable();
    waits_to_write_ = false;
    return Step::must_wait;
}

std::size_t Stream::unread_bytes() const {
    int count = 0;
    return ioctl(socket_.fd(), FIONREAD, &count) == 0 && count > 0 ? static_cast<std::size_t>(count)
                                                                   : 0;
}

Step Stream::write(std::string_view bytes, std::size_t& sent) {
    if (tls_ != nullptr) {
        ERR_clear_error();
        errno = 0;
        const int result = SSL_write_ex(tls_, bytes.data(), bytes.size(), &sent);
        return result == 1 ? Step::done : judge_tls(result);
    }
    ssize_t taken = 0;
    do {
        taken = send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    } while (taken < 0 && errno == EINTR);
    if (taken >= 0) {
        sent = static_cast<std::size_t>(taken);
        return Step::done;
    }
    if (errno != EAGAIN) {
        error_ = {ErrorKind::io, fail_errno(errno, "send").error().text};
        return Step::failed;
    }
    socket_.not_writable();
    waits_to_write_ = true;
    return Step::must_wait;
}

Socket::Wait Stream::wait() {
    return waits_to_write_ ? socket_.writable() : socket_.readable();
}

bool Stream::is_quiet() {
    if (tls_ != nullptr && SSL_has_pending(tls_) == 1) {
        // Perhaps only tickets; reading tells.
    } else if (!socket_.may_be_readable()) {
        return true;
    }
    char byte = 0;
    std::size_t got = 0;
    return read({&byte, 1}, got) == Step::must_wait;
}

}  // namespace tidepool::loop
