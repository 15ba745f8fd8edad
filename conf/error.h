// Expected failures as values: every function that can fail for a reason outside the program
// returns Result<T>.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
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
    io,          // the disk, the kernel or the network failed
};

// Why something failed. `text` is for the log: it may name paths, so it is never sent to a client.
struct Error {
    ErrorKind kind = ErrorKind::io;
    std::string text;

    // True where the same request can succeed later without anybody changing anything.
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

// Failure of a system call: "WHAT: TEXT OF errno", with the kind that errno stands for.
std::unexpected<Error> fail_errno(int error_number, const std::string& what);

}  // namespace tidepool
