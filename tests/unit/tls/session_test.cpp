#include "proxy/tls/session.h"

#include "tests/support/folder.h"
#include "tests/support/self_signed.h"

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::tls;
using test::SelfSigned;

namespace {

const std::string kNames = "DNS:images.example";

// A server's session and a client, each at its end of a pair of sockets.
struct Pair {
    test::Folder folder;
    SelfSigned own{kNames};
    std::array<int, 2> ends{};
    std::shared_ptr<const Context> context;
    std::unique_ptr<Session> server;
    Handle<SSL_CTX> client_context{SSL_CTX_new(TLS_client_method())};
    Handle<SSL> client;

    // `asks`: for certificates that the server's own would have issued.
    explicit Pair(bool asks = false) {
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) ==
                0);
        conf::EdgeSettings edge;
        const conf::CertificateSettings files = own.write_both(folder);
        if (asks) edge.client_ca_files = {files.chain_file};
        auto loaded = Context::load({}, {files}, edge, std::make_shared<TicketKeys>());
        REQUIRE(loaded);
        context = *loaded;
        server = Session::begin(context, ends[0]);
        REQUIRE(server);
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        client.reset();
        close(ends[1]);
        close(ends[0]);
    }

    // Until both are done or one has failed: what became of the server's.
    Step shake_hands() {
        client.reset(SSL_new(client_context.get()));
        SSL_set_fd(client.get(), ends[1]);
        SSL_set_connect_state(client.get());
        Step step = Step::want_read;
        for (int i = 0; i < 20 && step != Step::done && step != Step::failed; ++i) {
            SSL_do_handshake(client.get());
            step = server->handshake();
        }
        return step;
    }
    bool is_client_proven() const { return server->is_client_proven_by(*context); }
};

}  // namespace

TEST_CASE("tls session: what one end writes the other reads", "[tls]") {
    Pair pair;
    REQUIRE(pair.shake_hands() == Step::done);
    CHECK(pair.server->is_tls13());
    CHECK_FALSE(pair.server->is_resumed());
    CHECK_FALSE(pair.is_client_proven());
    REQUIRE(SSL_write(pair.client.get(), "hello", 5) == 5);
    std::array<char, 100> into{};
    const auto got = pair.server->read(into);
    CHECK(std::string_view(into.data(), got.bytes) == "hello");
    CHECK(got.step == Step::want_read);
    CHECK(pair.server->read(into).bytes == 0);

    REQUIRE(pair.server->write("and back") == Step::done);
    CHECK(pair.server->unsent() > 8);
    REQUIRE(pair.server->flush() == Step::done);
    CHECK(pair.server->unsent() == 0);
    REQUIRE(SSL_read(pair.client.get(), into.data(), into.size()) == 8);
    CHECK(std::string_view(into.data(), 8) == "and back");

    SSL_shutdown(pair.client.get());
    CHECK(pair.server->read(into).step == Step::closed);
}

TEST_CASE("tls session: no more is held for who takes nothing than is said", "[tls]") {
    Pair pair;
    REQUIRE(pair.shake_hands() == Step::done);
    const std::string text(16 * 1024, 'x');
    std::size_t taken = 0;
    Step step = Step::done;
    while (step == Step::done && taken < 100 * Session::kMostUnsent) {
        step = pair.server->write(text);
        if (step == Step::done) taken += text.size();
        REQUIRE(pair.server->unsent() <= 2 * Session::kMostUnsent);
    }
    CHECK(step == Step::want_write);
    // All of it comes, in order, once it is taken.
    std::size_t came = 0;
    std::array<char, 4096> into{};
    while (came < taken) {
        const int got = SSL_read(pair.client.get(), into.data(), into.size());
        if (got <= 0) {
            REQUIRE(pair.server->flush() != Step::closed);
            continue;
        }
        REQUIRE(into[static_cast<std::size_t>(got) - 1] == 'x');
        came += static_cast<std::size_t>(got);
    }
    CHECK(pair.server->flush() == Step::done);
    CHECK(came == taken);
}

TEST_CASE("tls session: new keys now and then are no flood", "[tls]") {
    Pair pair;
    REQUIRE(pair.shake_hands() == Step::done);
    std::array<char, 100> into{};
    for (int i = 0; i < 100; ++i) {
        REQUIRE(SSL_key_update(pair.client.get(), SSL_KEY_UPDATE_REQUESTED) == 1);
        REQUIRE(SSL_write(pair.client.get(), "x", 1) == 1);
        REQUIRE(pair.server->read(into).bytes == 1);
        REQUIRE(pair.server->flush() == Step::done);
        SSL_read(pair.client.get(), into.data(), into.size());  // takes the server's new keys
    }
}

TEST_CASE("tls session: a flood of new keys ends it soon", "[tls]") {
    for (const int kind : {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED}) {
        CAPTURE(kind);
        Pair pair;
        REQUIRE(pair.shake_hands() == Step::done);
        int sent = 0;
        for (; sent < 100; ++sent) {
            if (SSL_key_update(pair.client.get(), kind) != 1 ||
                SSL_do_handshake(pair.client.get()) != 1)
                break;
        }
        REQUIRE(sent == 100);
        std::array<char, 100> into{};
        CHECK(pair.server->read(into).step == Step::failed);
        CHECK(pair.server->unsent() < Session::kMostUnsent);
    }
}

TEST_CASE("tls session: who wants to shake hands anew is told once, and that is all", "[tls]") {
    Pair pair;
    SSL_CTX_set_max_proto_version(pair.client_context.get(), TLS1_2_VERSION);
    REQUIRE(pair.shake_hands() == Step::done);
    REQUIRE(SSL_write(pair.client.get(), "before", 6) == 6);
    REQUIRE(SSL_renegotiate(pair.client.get()) == 1);
    SSL_do_handshake(pair.client.get());
    std::array<char, 100> into{};
    const auto got = pair.server->read(into);
    CHECK(std::string_view(into.data(), got.bytes) == "before");
    CHECK(got.step == Step::failed);
    CHECK(pair.server->read(into).step == Step::failed);
    CHECK(pair.server->problem() == "renegotiation");
    REQUIRE(pair.server->flush() == Step::done);
    ERR_clear_error();
    CHECK(SSL_do_handshake(pair.client.get()) == -1);
    CHECK(ERR_GET_REASON(ERR_peek_error()) == SSL_R_NO_RENEGOTIATION);
}

TEST_CASE("tls session: answers that nobody takes are held up to a limit", "[tls]") {
    Pair pair;
    REQUIRE(pair.shake_hands() == Step::done);
    std::array<char, 100> into{};
    Step step = Step::want_read;
    for (int i = 0; i < 20'000 && step == Step::want_read; ++i) {
        REQUIRE(SSL_key_update(pair.client.get(), SSL_KEY_UPDATE_REQUESTED) == 1);
        REQUIRE(SSL_write(pair.client.get(), "x", 1) == 1);
        step = pair.server->read(into).step;
    }
    CHECK(step == Step::failed);
    CHECK(pair.server->unsent() < 5 * Session::kMostUnsent);
}

TEST_CASE("tls session: a client's certificate is judged, and a heap of them refused", "[tls]") {
    SECTION("the one that is allowed") {
        Pair pair(true);
        REQUIRE(SSL_CTX_use_certificate(pair.client_context.get(), pair.own.certificate.get()) ==
                1);
        REQUIRE(SSL_CTX_use_PrivateKey(pair.client_context.get(), pair.own.key.get()) == 1);
        REQUIRE(pair.shake_hands() == Step::done);
        CHECK(pair.is_client_proven());
    }
    SECTION("another of the same name") {
        Pair pair(true);
        const SelfSigned other(kNames);
        REQUIRE(SSL_CTX_use_certificate(pair.client_context.get(), other.certificate.get()) == 1);
        REQUIRE(SSL_CTX_use_PrivateKey(pair.client_context.get(), other.key.get()) == 1);
        REQUIRE(pair.shake_hands() == Step::done);
        CHECK_FALSE(pair.is_client_proven());
    }
    SECTION("none") {
        Pair pair(true);
        REQUIRE(pair.shake_hands() == Step::done);
        CHECK_FALSE(pair.is_client_proven());
    }
    SECTION("a heap") {
        Pair pair(true);
        REQUIRE(SSL_CTX_use_certificate(pair.client_context.get(), pair.own.certificate.get()) ==
                1);
        REQUIRE(SSL_CTX_use_PrivateKey(pair.client_context.get(), pair.own.key.get()) == 1);
        for (int i = 0; i < 60; ++i)
            SSL_CTX_add1_chain_cert(pair.client_context.get(), pair.own.certificate.get());
        CHECK(pair.shake_hands() == Step::failed);
    }
}
