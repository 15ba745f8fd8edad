#include "proxy/api/saved_answers.h"

#include "tests/support/catalog_backends.h"

#include <fstream>
#include <iterator>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::api;

namespace {

const conf::Secret kToken("env:T", "a-token-of-some-length");
constexpr ApiCall kCall{"POST", "/api/admin/v1/keys", "", R"({"owner":"7"})"};

// Answers with how often it was asked.
struct Maker {
    int status = 201;
    int made = 0;
    std::function<ApiAnswer()> make() {
        return [this] {
            ++made;
            return ApiAnswer{.status = status,
                             .body = "secret-" + std::to_string(made),
                             .fields = "Location: /x\r\n"};
        };
    }
};

}  // namespace

TEST_CASE("saved answers: which keys there are", "[api][saved]") {
    CHECK(is_idempotency_key("a"));
    CHECK(is_idempotency_key("!~"));
    CHECK(is_idempotency_key(std::string(255, 'k')));
    for (const std::string& key :
         {std::string(), std::string(256, 'k'), std::string("a b"), std::string("a\t"),
          std::string("\xc3\xa4"), std::string(1, '\0')})
        CHECK_FALSE(is_idempotency_key(key));
}

CATALOG_TEST("saved answers: a call is made once, also after a restart", "[api][saved]") {
    const TestType backend;
    Maker maker;
    {
        const auto catalog = backend.open();
        SavedAnswers saved(*catalog, kToken);
        CHECK(saved.once("k", kCall, maker.make()).body == "secret-1");
    }
    const auto catalog = backend.open();
    SavedAnswers saved(*catalog, kToken);
    const ApiAnswer again = saved.once("k", kCall, maker.make());
    CHECK(maker.made == 1);
    CHECK(again.status == 201);
    CHECK(again.body == "secret-1");
    CHECK(again.fields == "Location: /x\r\n");
    CHECK(saved.once("other", kCall, maker.make()).body == "secret-2");
}

CATALOG_TEST("saved answers: a key that comes with another call is refused", "[api][saved]") {
    const TestType backend;
    const auto catalog = backend.open();
    SavedAnswers saved(*catalog, kToken);
    Maker maker;
    saved.once("k", kCall, maker.make());
    for (const ApiCall& call : {ApiCall{"PATCH", kCall.path, kCall.query, kCall.body},
                                ApiCall{kCall.method, "/api/admin/v1/pools", "", kCall.body},
                                ApiCall{kCall.method, kCall.path, "a=b", kCall.body},
                                ApiCall{kCall.method, kCall.path, kCall.query, "{}"}}) {
        const ApiAnswer answer = saved.once("k", call, maker.make());
        CHECK(answer.status == 422);
        CHECK(answer.body.find("idempotency_key_reused") != std::string::npos);
    }
    CHECK(maker.made == 1);
}

CATALOG_TEST("saved answers: while a call is being done its key is in use", "[api][saved]") {
    const TestType backend;
    const auto catalog = backend.open();
    SavedAnswers saved(*catalog, kToken);
    Maker maker;
    int inner = 0;
    saved.once("k", kCall, [&] {
        inner = saved.once("k", kCall, maker.make()).status;
        return ApiAnswer{.status = 200, .body = "{}", .fields = {}};
    });
    CHECK(inner == 409);
    CHECK(maker.made == 0);
}

CATALOG_TEST("saved answers: what failed for our fault is tried again", "[api][saved]") {
    const TestType backend;
    const auto catalog = backend.open();
    SavedAnswers saved(*catalog, kToken);
    Maker maker{.status = 503};
    CHECK(saved.once("k", kCall, maker.make()).status == 503);
    maker.status = 404;
    CHECK(saved.once("k", kCall, maker.make()).status == 404);
    maker.status = 201;
    CHECK(saved.once("k", kCall, maker.make()).status == 404);
    CHECK(maker.made == 2);
}

CATALOG_TEST("saved answers: neither answer nor key can be read in the catalog", "[api][saved]") {
    const TestType backend;
    {
        const auto catalog = backend.open();
        SavedAnswers saved(*catalog, kToken);
        Maker maker;
        saved.once("the-key-of-the-caller", kCall, maker.make());
    }
    std::string text;
    for (const char* const ending : {"", "-wal"}) {
        std::ifstream file(backend.path() + ending, std::ios::binary);
        text.append(std::istreambuf_iterator<char>(file), {});
    }
    CHECK_FALSE(text.empty());
    CHECK(text.find("secret-1") == std::string::npos);
    CHECK(text.find("the-key-of-the-caller") == std::string::npos);
    // Whoever has another token has other keys.
    const auto catalog = backend.open();
    SavedAnswers saved(*catalog, conf::Secret("env:T", "another-token-of-that-length"));
    Maker maker;
    CHECK(saved.once("the-key-of-the-caller", kCall, maker.make()).body == "secret-1");
    CHECK(maker.made == 1);
}
