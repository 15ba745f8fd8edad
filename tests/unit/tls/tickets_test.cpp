// Sessions taken up again by the tickets that a context gives out.
#include "proxy/tls/session.h"
#include "tests/support/folder.h"
#include "tests/support/self_signed.h"

#include <array>
#include <chrono>
#include <memory>
#include <string>

#include <catch2/catch.hpp>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::tls;

namespace {

constexpr std::int64_t kRotationS = 600;
std::int64_t now_s = 0;

struct FreesSession {
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using Ticket = std::unique_ptr<SSL_SESSION, FreesSession>;

// A server whose clock stands where a test puts it, and a client that keeps its last ticket, which
// it uses once.
struct Visits {
    test::Folder folder;
    test::SelfSigned own{"DNS:images.example"};
    std::shared_ptr<const Context> server;
    Handle<SSL_CTX> client{SSL_CTX_new(TLS_client_method())};
    Ticket ticket;

    explicit Visits(int version) {
        now_s = 1'000;
        const conf::CertificateSettings files = own.write_both(folder);
        conf::TlsSettings settings;
        settings.ticket_rotation = std::chrono::seconds(kRotationS);
        auto made = Context::load(settings, {files}, {},
                                  std::make_shared<TicketKeys>([] { return now_s; }));
        REQUIRE(made);
        server = *made;
        SSL_CTX_set_max_proto_version(client.get(), version);
    }

    // One connection with one answer: whether the ticket of the last one was taken.
    bool is_resumed() {
        std::array<int, 2> ends{};
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) ==
                0);
        const auto session = Session::begin(server, ends[0]);
        REQUIRE(session);
        const Handle<SSL> ssl(SSL_new(client.get()));
        SSL_set_fd(ssl.get(), ends[1]);
        SSL_set_connect_state(ssl.get());
        if (ticket) SSL_set_session(ssl.get(), ticket.get());
        Step step = Step::want_read;
        for (int i = 0; i < 20 && (step != Step::done || !SSL_is_init_finished(ssl.get())); ++i) {
            SSL_do_handshake(ssl.get());
            if (step != Step::done) step = session->handshake();
        }
        REQUIRE(step == Step::done);
        REQUIRE(session->write("answer") == Step::done);
        REQUIRE(session->flush() == Step::done);
        std::array<char, 16> into{};
        REQUIRE(SSL_read(ssl.get(), into.data(), into.size()) == 6);
        const bool is_resumed = session->is_resumed();
        CHECK(is_resumed == (SSL_session_reused(ssl.get()) == 1));
        SSL_shutdown(ssl.get());
        Ticket next(SSL_get1_session(ssl.get()));
        // One that has been used is none, in TLS 1.3: only a new one is.
        if (SSL_version(ssl.get()) == TLS1_3_VERSION && is_resumed && same_id(next, ticket))
            next.reset();
        ticket = std::move(next);
        close(ends[0]);
        close(ends[1]);
        return is_resumed;
    }

    static bool same_id(const Ticket& a, const Ticket& b) {
        const auto id_of = [](const Ticket& session) {
            unsigned int bytes = 0;
            const unsigned char* const id = SSL_SESSION_get_id(session.get(), &bytes);
            return std::string(reinterpret_cast<const char*>(id), bytes);
        };
        return id_of(a) == id_of(b);
    }
};

}  // namespace

TEST_CASE("tls tickets: who uses each once takes up its session with every connection", "[tls]") {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        CAPTURE(version);
        Visits visits(version);
        CHECK_FALSE(visits.is_resumed());
        for (int i = 0; i < 20; ++i)
            CHECK(visits.is_resumed());
    }
}

TEST_CASE("tls tickets: all of one handshake end with the keys of its time", "[tls]") {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        CAPTURE(version);
        Visits visits(version);
        CHECK_FALSE(visits.is_resumed());
        const std::int64_t began_s = now_s;
        for (now_s += 100; now_s < began_s + 2 * kRotationS; now_s += 100) {
            CAPTURE(now_s);
            CHECK(visits.is_resumed());
        }
        CHECK_FALSE(visits.is_resumed());
        CHECK(visits.is_resumed());
    }
}
