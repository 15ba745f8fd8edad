// Expected failures as values: every function that can fail for a reason outside the program
// returns Result<T>.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace tidepool {

// What the caller must know to decide what happens next.
enum class ErrorKind : std::uint8_t {
    invalid,     // the input is wrong; trying again changes nothing
    not_found,   // there is no such thing
    denied,      // it exists but may not be read (rights, a link out of the pool, a special file)
    busy,        // a file that is being written right now; soon whole
    overloaded,  // a queue or table is full; later it will work
    timed_out,   // a deadline passed
    closed,      // the peer or we ourselves ended the connection
    io,          // the disk, the kernel, the network or the store failed
    conflict,    // something else is there already
    capped,      // a budget or the store's own cap is used up; it is reset later
    corrupt,     // the bytes are not those that they should be
    misconfigured,  // a store cannot be used as it is set up: keys, bucket, region, clock
    too_large,      // it is beyond a limit that the configuration sets
};

// "not_found", for programs: it does not change.
std::string_view name_of(ErrorKind kind);

// Which object of which store an error is about, and what the store itself said.
struct StoreDetail {
    std::string pool{};
    std::string key{};                    // "" where it is about the store as a whole
    int status = 0;                       // of HTTP; 0 where there was no answer
    std::string code{};                   // the store's own word, "NoSuchKey"
    std::string request_id{};             // by which the store's people find the request
    std::chrono::seconds retry_after{0};  // that the store asked for; 0 = it did not
    bool resets_daily = false;            // what is capped is so until midnight UTC
    bool unauthorized = false;  // nothing can be read now, for want of a download authorization
};

// Why something failed. `text` is for the log: it may name paths, so it is never sent to a client.
struct Error {
    ErrorKind kind = ErrorKind::io;
    std::string text;
    std::shared_ptr<const StoreDetail> store{};  // null where no store is concerned

    // True where the same request can succeed soon without anybody changing anything.
    bool may_retry() const {
        return kind == ErrorKind::busy || kind == ErrorKind::overloaded ||
               kind == ErrorKind::timed_out || kind == ErrorKind::io;
    }
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorKind kind, std::string text) {
    return std::unexpected(Error{kind, std::move(text)});
}
inline std::unexpected<Error> fail(ErrorKind kind, std::string text, StoreDetail detail) {
    return std::unexpected(
        Error{kind, std::move(text), std::make_shared<const StoreDetail>(std::move(detail))});
}

// Failure of a system call: "WHAT: TEXT OF errno", with the kind that errno stands for.
std::unexpected<Error> fail_errno(int error_number, const std::string& what);

}  // namespace tidepool
