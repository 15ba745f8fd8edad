#include "conf/error.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace tidepool {

namespace {

ErrorKind kind_of(int error_number) {
    switch (error_number) {
        case ENOENT:
        case ENOTDIR:
            return ErrorKind::not_found;
        case EACCES:
        case EPERM:
        case EROFS:
        case ELOOP:   // openat2: a link where none is allowed
        case EXDEV:   // openat2: the path leads out of its root
        case EISDIR:  // a folder where a file was meant
        case ENXIO:   // a socket, or a pipe without a reader
        case ENODEV:
            return ErrorKind::denied;
        case EINVAL:
        case EILSEQ:
        case ENAMETOOLONG:
            return ErrorKind::invalid;
        case EBUSY:
        case ETXTBSY:
            return ErrorKind::busy;
        case EAGAIN:  // openat2 says so when a rename raced with it
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return ErrorKind::overloaded;
        case ETIMEDOUT:
            return ErrorKind::timed_out;
        case ECANCELED:
        case ECONNABORTED:
        case ECONNRESET:
        case ENOTCONN:
        case EPIPE:
            return ErrorKind::closed;
        default:
            return ErrorKind::io;
    }
}

}  // namespace

std::unexpected<Error> fail_errno(int error_number, const std::string& what) {
    std::array<char, 128> buffer{};
    // The GNU form, which may answer with a constant text instead of filling the buffer.
    const char* reason = strerror_r(error_number, buffer.data(), buffer.size());
    return fail(kind_of(error_number), what + ": " + reason);
}

std::string_view name_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid:
            return "invalid";
        case ErrorKind::not_found:
            return "not_found";
        case ErrorKind::denied:
            return "denied";
        case ErrorKind::busy:
            return "busy";
        case ErrorKind::overloaded:
            return "overloaded";
        case ErrorKind::timed_out:
            return "timed_out";
        case ErrorKind::closed:
            return "closed";
        case ErrorKind::io:
            return "io";
        case ErrorKind::conflict:
            return "conflict";
        case ErrorKind::capped:
            return "capped";
        case ErrorKind::corrupt:
            return "corrupt";
        case ErrorKind::misconfigured:
            return "misconfigured";
        case ErrorKind::too_large:
            return "too_large";
    }
    return "unknown";
}

}  // namespace tidepool
