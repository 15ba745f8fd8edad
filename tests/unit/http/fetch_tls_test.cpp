// Fetches through TLS, from a server of OpenSSL's with a certificate that was made for the test.
#include "proxy/http/fetch.h"
#include "tests/support/folder.h"
#include "tests/support/self_signed.h"
#include "tests/support/stub_origin.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::http;
using namespace std::chrono_literals;
using loop::Loop;
using loop::Task;
using test::answer;
using test::SelfSigned;

namespace {

// Answers each request by the script's text, a thread a connection.
class TlsOrigin {
  public:
    struct Answer {
        std::string text;
        bool cut = false;  // the connection behind it, as a machine that crashed does
    };
    using Script = std::function<Answer(const std::string& target)>;

    TlsOrigin(const SelfSigned& identity, Script script, int most_version = TLS1_3_VERSION)
        : context_(SSL_CTX_new(TLS_server_method())), script_(std::move(script)) {
        std::signal(SIGPIPE, SIG_IGN);  // as in the program: either end may find the other one gone
        SSL_CTX_use_certificate(context_.get(), identity.certificate.get());
        SSL_CTX_use_PrivateKey(context_.get(), identity.key.get());
        SSL_CTX_set_max_proto_version(context_.get(), most_version);
        sockaddr_in address{};
        socklen_t length = sizeof address;
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(bind(listener_, reinterpret_cast<const sockaddr*>(&address), length) == 0);
        REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
        REQUIRE(listen(listener_, 64) == 0);
        port_ = ntohs(address.sin_port);
        accepting_ = std::thread([this] { accept_all(); });
    }
    ~TlsOrigin() {
        shutdown(listener_, SHUT_RDWR);
        accepting_.join();
        for (const int fd : open_)
            shutdown(fd, SHUT_RDWR);
        for (std::thread& each : connections_)
            each.join();
        for (const int fd : open_)
            close(fd);
        close(listener_);
    }
    TlsOrigin(const TlsOrigin&) = delete;
    TlsOrigin& operator=(const TlsOrigin&) = delete;

    std::string url(std::string_view host, std::string_view target = "/") const {
        return fmt::format("https://{}:{}{}", host, port_, target);
    }
    int connections() const { return connection_count_; }
    int resumed() const { return resumed_; }

  private:
    void accept_all() {
        while (true) {
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) return;
            ++connection_count_;
            open_.push_back(fd);
            connections_.emplace_back([this, fd] { serve(fd); });
        }
    }
    void serve(int fd) {
        const tls::Handle<SSL> tls(SSL_new(context_.get()));
        SSL_set_fd(tls.get(), fd);
        if (SSL_accept(tls.get()) != 1) {
            shutdown(fd, SHUT_RDWR);
            return;
        }
        if (SSL_session_reused(tls.get()) == 1) ++resumed_;
        std::string held;
        while (true) {
            std::array<char, 4096> buffer{};
            const int got = SSL_read(tls.get(), buffer.data(), buffer.size());
            if (got <= 0) return;
            held.append(buffer.data(), static_cast<std::size_t>(got));
            const std::size_t end = held.find("\r\n\r\n");
            if (end == held.npos) continue;
            const std::size_t target = held.find(' ') + 1;
            const Answer said = script_(held.substr(target, held.find(' ', target) - target));
            held.erase(0, end + 4);
            if (SSL_write(tls.get(), said.text.data(), static_cast<int>(said.text.size())) <= 0)
                return;
            if (said.cut) {
                shutdown(fd, SHUT_RDWR);
                return;
            }
        }
    }

    tls::Handle<SSL_CTX> context_;
    Script script_;
    int listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::uint16_t port_ = 0;
    std::atomic<int> connection_count_ = 0;
    std::atomic<int> resumed_ = 0;
    std::thread accepting_;
    std::vector<int> open_;                 // of the accepting thread, until that has ended
    std::vector<std::thread> connections_;  // the same
};

// A loop whose fetches trust this identity alone.
struct Ground {
    explicit Ground(const SelfSigned& trusted) {
        trusted.write(folder.path("authority.pem"));
        setenv("SSL_CERT_FILE", folder.path("authority.pem").c_str(), 1);
        fetcher.emplace(loop, 4).prepare_tls();
        unsetenv("SSL_CERT_FILE");
    }
    test::Folder folder;
    Loop loop;
    std::optional<Fetcher> fetcher;
};

struct Got {
    std::optional<Error> error;
    std::string body;
};

Task<> ask(Fetcher& fetcher, FetchRequest request, Got& got) {
    Fetch fetch(fetcher, std::move(request), 64UL * 1024);
    const auto head = co_await fetch.head();
    if (!head) {
        got.error = head.error();
        co_return;
    }
    while (true) {
        const auto bytes = co_await fetch.read();
        if (!bytes) got.error = bytes.error();
        if (!bytes || bytes->empty()) co_return;
        got.body += *bytes;
    }
}

Got get(Ground& ground, FetchRequest request) {
    Got got;
    ground.loop.tasks().spawn(ask(*ground.fetcher, std::move(request), got));
    ground.loop.stop();
    ground.loop.run();
    return got;
}

TlsOrigin::Answer hello(const std::string&) {
    return {answer(200, "hello")};
}

}  // namespace

TEST_CASE("fetch: through TLS, over a connection that is kept", "[http][fetch][tls]") {
    const SelfSigned identity("DNS:localhost");
    const std::string body = test::pattern(3'000'000);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        const TlsOrigin origin(
            identity,
            [&](const std::string& target) {
                return TlsOrigin::Answer{answer(200, target == "/big" ? body : "hello")};
            },
            version);
        Ground ground(identity);
        for (int round = 0; round < 3; ++round) {
            CHECK(get(ground, {.url = origin.url("localhost")}).body == "hello");
            const Got big = get(ground, {.url = origin.url("localhost", "/big")});
            CHECK_FALSE(big.error);
            CHECK((big.body == body));
        }
        CHECK(origin.connections() == 1);
    }
}

TEST_CASE("fetch: a new TLS connection goes on with the session of the last",
          "[http][fetch][tls]") {
    const SelfSigned identity("DNS:localhost");
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        const TlsOrigin origin(identity, hello, version);
        Ground ground(identity);
        for (int round = 0; round < 3; ++round) {
            FetchRequest request{.url = origin.url("localhost")};
            request.fresh_connection = true;
            CHECK(get(ground, request).body == "hello");
        }
        CHECK(origin.connections() == 3);
        CHECK(origin.resumed() == 2);
    }
}

TEST_CASE("fetch: the certificate must be the host's, by name or by address",
          "[http][fetch][tls]") {
    struct Case {
        const char* names;
        const char* host;
        bool is_good;
    };
    const Case cases[] = {
        {"DNS:localhost", "localhost", true},      {"IP:127.0.0.1", "127.0.0.1", true},
        {"DNS:other.example", "localhost", false}, {"DNS:localhost", "127.0.0.1", false},
        {"DNS:127.0.0.1", "127.0.0.1", false},     {"IP:127.0.0.2", "127.0.0.1", false},
    };
    for (const Case& each : cases) {
        CAPTURE(each.names, each.host);
        const SelfSigned identity(each.names);
        const TlsOrigin origin(identity, hello);
        Ground ground(identity);
        const Got got = get(ground, {.url = origin.url(each.host)});
        CHECK(got.error.has_value() != each.is_good);
        if (got.error) CHECK(got.error->kind == ErrorKind::misconfigured);
    }
}

TEST_CASE("fetch: an authority that is not trusted", "[http][fetch][tls]") {
    const SelfSigned identity("DNS:localhost");
    const SelfSigned other("DNS:localhost");
    const TlsOrigin origin(identity, hello);
    Ground ground(other);
    const Got got = get(ground, {.url = origin.url("localhost")});
    REQUIRE(got.error);
    CHECK(got.error->kind == ErrorKind::misconfigured);
    CHECK(got.error->text.contains("certificate"));
}

TEST_CASE("fetch: a TLS answer that is cut is never whole", "[http][fetch][tls]") {
    const SelfSigned identity("DNS:localhost");
    for (const std::string fields : {"Content-Length: 10\r\n", "Connection: close\r\n"}) {
        CAPTURE(fields);
        const TlsOrigin origin(identity, [&](const std::string&) {
            return TlsOrigin::Answer{"HTTP/1.1 200 OK\r\n" + fields + "\r\nhello", true};
        });
        Ground ground(identity);
        const Got got = get(ground, {.url = origin.url("localhost")});
        REQUIRE(got.error);
        CHECK(got.error->kind == ErrorKind::io);
        CHECK(got.body == "hello");
    }
}

TEST_CASE("fetch: who does not speak TLS", "[http][fetch][tls]") {
    const SelfSigned identity("DNS:localhost");
    Ground ground(identity);
    const auto url = [](const test::StubOrigin& origin) {
        return fmt::format("https://localhost:{}/", origin.port());
    };
    // A stub that reads a line end in what begins TLS, if ever, and says HTTP.
    const test::StubOrigin silent("");
    const Got late = get(ground, {.url = url(silent), .connect_timeout = 200ms});
    REQUIRE(late.error);
    CHECK(late.error->kind == ErrorKind::timed_out);

    const SelfSigned server("DNS:localhost");
    const TlsOrigin tls(server, hello);
    const Got plain = get(ground, {.url = fmt::format("http{}", tls.url("localhost").substr(5))});
    REQUIRE(plain.error);
    CHECK(plain.error->kind == ErrorKind::io);
}
