#include "proxy/tls/session.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>

namespace tidepool::tls {

namespace {

// Without anything for us in them: a client changes its keys once in a good while (RFC 8446, 5.5),
// and shakes hands in fewer.
constexpr unsigned kMostEmptyRecords = 32;
// That is held while more is read. Writing never adds up to that: it is what OpenSSL answers to a
// peer that takes none of it.
constexpr std::size_t kMostHeldWhileReading = 4 * Session::kMostUnsent;
// Of a buffer that is kept for the next.
constexpr std::size_t kMostSpareBytes = 4 * Session::kMostUnsent;

// One thread's spare buffer: most of what is held is gone before the next connection has its turn.
std::vector<char>& spare_buffer() {
    thread_local std::vector<char> spare;
    return spare;
}

}  // namespace

// How OpenSSL gets at the socket: it reads from it, and what it writes is held in the session, so
// that an answer's records leave by one call.
struct SessionBio {
    static int read(BIO* bio, char* into, std::size_t bytes, std::size_t* got) {
        Session& session = *static_cast<Session*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        while (true) {
            const ssize_t came = recv(session.fd_, into, bytes, 0);
            if (came > 0) {
                *got = static_cast<std::size_t>(came);
                return 1;
            }
            if (came < 0 && errno == EINTR) continue;
            if (came < 0 && errno == EAGAIN) {
                BIO_set_retry_read(bio);
            } else {
                session.is_gone_ = true;
            }
            return 0;
        }
    }
    static int write(BIO* bio, const char* text, std::size_t bytes, std::size_t* taken) {
        static_cast<Session*>(BIO_get_data(bio))->hold({text, bytes});
        *taken = bytes;
        return 1;
    }
    static long control(BIO* bio, int command, long, void*) {
        if (command == BIO_CTRL_FLUSH) return 1;
        if (command == BIO_CTRL_EOF) return static_cast<Session*>(BIO_get_data(bio))->is_gone_;
        return 0;
    }
    // OpenSSL handles what is for the connection itself, such as new keys, for as long as more of
    // it comes, within one call. So the records are counted as it meets them, and where they are
    // too many it is told that this was the last. The first by which a client wants to shake hands
    // anew (TLS 1.2) it may still answer, by which the client knows why this ends.
    static void on_message(int is_written, int, int type, const void* head, std::size_t, SSL* ssl,
                           void* self) {
        if (is_written != 0 || type != SSL3_RT_HEADER) return;
        Session& session = *static_cast<Session*>(self);
        if (session.abuse_.empty()) {
            if (++session.empty_records_ > kMostEmptyRecords) {
                session.abuse_ = "too many records with nothing in them";
            } else if (session.unsent() > kMostHeldWhileReading) {
                session.abuse_ = "too much to answer, and nothing of it taken";
            } else {
                const bool is_handshake =
                    *static_cast<const unsigned char*>(head) == SSL3_RT_HANDSHAKE;
                if (session.has_shaken_hands_ && is_handshake) session.abuse_ = "renegotiation";
                return;
            }
        }
        SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
    }
    static BIO_METHOD* method() {
        static BIO_METHOD* const made = [] {
            BIO_METHOD* const method =
                BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tidepool session");
            BIO_meth_set_read_ex(method, &SessionBio::read);
            BIO_meth_set_write_ex(method, &SessionBio::write);
            BIO_meth_set_ctrl(method, &SessionBio::control);
            return method;
        }();
        return made;
    }
};

std::unique_ptr<Session> Session::begin(std::shared_ptr<const Context> context, int fd) {
    Handle<SSL> ssl = context->begin();
    Handle<BIO> bio(BIO_new(SessionBio::method()));
    if (!ssl || !bio) return nullptr;
    BIO_set_init(bio.get(), 1);
    std::unique_ptr<Session> session(new Session(std::move(context), std::move(ssl), fd));
    BIO_set_data(bio.get(), session.get());
    SSL_set_msg_callback(session->ssl_.get(), &SessionBio::on_message);
    SSL_set_msg_callback_arg(session->ssl_.get(), session.get());
    SSL_set0_rbio(session->ssl_.get(), bio.get());
    BIO_up_ref(bio.get());
    SSL_set0_wbio(session->ssl_.get(), bio.release());
    return session;
}

Session::~Session() = default;

void Session::hold(std::string_view text) {
    if (unsent_.empty()) unsent_.swap(spare_buffer());
    unsent_.insert(unsent_.end(), text.begin(), text.end());
}

Step Session::step_after(int result) {
    if (!abuse_.empty()) {
        problem_ = abuse_;
        return Step::failed;
    }
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_NONE:
            return Step::done;
        case SSL_ERROR_WANT_READ:
            return Step::want_read;
        case SSL_ERROR_ZERO_RETURN:
            return Step::closed;
        default:
            break;
    }
    if (is_gone_ && ERR_peek_error() == 0) return Step::closed;
    problem_ = take_openssl_error();
    return Step::failed;
}

Step Session::handshake() {
    // What was not taken of an earlier flight, which the peer waits for.
    if (const Step step = flush(); step != Step::done) return step;
    ERR_clear_error();
    const Step step = step_after(SSL_do_handshake(ssl_.get()));
    if (step == Step::done) {
        empty_records_ = 0;
        has_shaken_hands_ = true;
        // What is left then are tickets (RFC 8446, 4.6.1), which leave with the first answer.
        if (is_tls13()) return step;
    }
    const Step sent = flush();  // an alert too
    if (step == Step::done || step == Step::want_read) {
        if (sent != Step::done) return sent;
    }
    return step;
}

bool Session::is_tls13() const {
    return SSL_version(ssl_.get()) == TLS1_3_VERSION;
}

bool Session::speaks_http2() const {
    const unsigned char* name = nullptr;
    unsigned int bytes = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &bytes);
    return std::string_view(reinterpret_cast<const char*>(name), bytes) == "h2";
}

bool Session::is_resumed() const {
    return SSL_session_reused(ssl_.get()) == 1;
}

bool Session::can_be_judged_by(const Context& now) const {
    return !now.asks_clients() || now.clients() == context_->clients() ||
           (context_->asks_clients() && !is_resumed());
}

bool Session::is_client_proven_by(const Context& now) {
    if (judged_by_ == now.clients()) return is_client_proven_;
    judged_by_ = now.clients();
    if (now.clients() == context_->clients()) {
        is_client_proven_ = now.allows_client(ssl_.get());
    } else {
        is_client_proven_ = can_be_judged_by(now) && now.allows_client_of_other(ssl_.get());
    }
    return is_client_proven_;
}

Session::Got Session::read(std::span<char> into) {
    Got got;
    ERR_clear_error();
    while (got.bytes < into.size()) {
        std::size_t came = 0;
        const int result =
            SSL_read_ex(ssl_.get(), into.data() + got.bytes, into.size() - got.bytes, &came);
        if (result != 1) {
            got.step = step_after(result);
            break;
        }
        got.bytes += came;
        empty_records_ = 0;
    }
    return got;
}

Step Session::write(std::string_view text) {
    if (unsent_.size() - sent_ >= kMostUnsent) {
        if (const Step step = flush(); step != Step::done) return step;
    }
    if (text.empty()) return Step::done;
    ERR_clear_error();
    std::size_t taken = 0;
    return step_after(SSL_write_ex(ssl_.get(), text.data(), text.size(), &taken));
}

Step Session::flush() {
    while (sent_ < unsent_.size()) {
        const ssize_t sent =
            send(fd_, unsent_.data() + sent_, unsent_.size() - sent_, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) return Step::want_write;
        if (sent < 0) {
            is_gone_ = true;
            return Step::closed;
        }
        sent_ += static_cast<std::size_t>(sent);
    }
    if (unsent_.empty()) return Step::done;
    unsent_.clear();
    sent_ = 0;
    if (spare_buffer().capacity() == 0 && unsent_.capacity() <= kMostSpareBytes) {
        unsent_.swap(spare_buffer());
    } else {
        unsent_ = std::vector<char>();  // = {} would keep its memory
    }
    return Step::done;
}

void Session::say_end() {
    ERR_clear_error();
    // Its result tells of the peer's word, which is not waited for.
    if (!is_gone_ && (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) == 0)
        SSL_shutdown(ssl_.get());
}

}  // namespace tidepool::tls
