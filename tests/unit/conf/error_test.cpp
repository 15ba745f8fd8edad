#include "conf/error.h"

#include <cerrno>

#include <catch2/catch.hpp>

using namespace tidepool;

TEST_CASE("error: errno becomes the kind that callers decide by", "[conf][error]") {
    struct Case {
        int number;
        ErrorKind kind;
        bool may_retry;
    };
    const Case cases[] = {
        {ENOENT, ErrorKind::not_found, false},
        {ENOTDIR, ErrorKind::not_found, false},
        {EACCES, ErrorKind::denied, false},
        {ELOOP, ErrorKind::denied, false},
        {EXDEV, ErrorKind::denied, false},
        {EISDIR, ErrorKind::denied, false},
        {ENAMETOOLONG, ErrorKind::invalid, false},
        {EBUSY, ErrorKind::busy, true},
        {EMFILE, ErrorKind::overloaded, true},
        {EAGAIN, ErrorKind::overloaded, true},
        {ETIMEDOUT, ErrorKind::timed_out, true},
        {EPIPE, ErrorKind::closed, false},
        {ECONNRESET, ErrorKind::closed, false},
        {EIO, ErrorKind::io, true},
        {ENOSPC, ErrorKind::io, true},
        {123456, ErrorKind::io, true},
    };
    for (const auto& [number, kind, may_retry] : cases) {
        INFO(number);
        const Error error = fail_errno(number, "open x").error();
        CHECK(error.kind == kind);
        CHECK(error.may_retry() == may_retry);
        CHECK_THAT(error.text, Catch::StartsWith("open x: "));
    }
    CHECK(fail_errno(ENOENT, "open x").error().text == "open x: No such file or directory");
}
