#include "transform/worker_channel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace tidepool::transform {

namespace {

constexpr unsigned kExecutable = 0x10;  // MFD_EXEC of Linux 6.3, which older headers do not name
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

union Control {
    cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];  // which, rounded up, has room for two
};

std::unexpected<Error> fail_socket(const char* doing) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS)
        return fail(ErrorKind::busy, doing);
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
        return fail(ErrorKind::closed, std::string(doing) + ": the other end has gone");
    return fail_errno(errno, doing);
}

// Whatever is not taken here would stay open for as long as this process runs.
std::vector<conf::Descriptor> take_descriptors(msghdr& message) {
    std::vector<conf::Descriptor> taken;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, reinterpret_cast<const char*>(part) + at, sizeof fd);
            taken.emplace_back(fd);
        }
    }
    return taken;
}

}  // namespace

void Answer::set_text(std::string_view words) {
    words = words.substr(0, text.size() - 1);
    std::ranges::copy(words, text.begin());
    text[words.size()] = '\0';
}

std::string Answer::printable_text() const {
    std::string words(text.data(), strnlen(text.data(), text.size()));
    std::ranges::replace_if(words, [](char c) { return c < ' ' || c > '~'; }, '?');
    return words;
}

Result<Channel> open_channel() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno(errno, "make a socket pair");
    Channel channel{conf::Descriptor(ends[0]), conf::Descriptor(ends[1])};
    if (fcntl(channel.ours.get(), F_SETFL, O_NONBLOCK) != 0)
        return fail_errno(errno, "make a socket pair");
    return channel;
}

Result<void> send_packet(int socket, std::span<const char> bytes, int fd) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    Control control{};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof fd);
        std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
    }
    ssize_t sent = 0;
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return fail_socket("send to the other process");
    return {};
}

Result<conf::Descriptor> receive_packet(int socket, std::span<char> into) {
    iovec part{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    Control control{};
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    ssize_t received = 0;
    do {
        received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (received < 0 && errno == EINTR);
    if (received < 0) return fail_socket("receive from the other process");
    std::vector<conf::Descriptor> taken = take_descriptors(message);
    if (received == 0) return fail(ErrorKind::closed, "the other process has ended");
    if (static_cast<std::size_t>(received) != into.size() || (message.msg_flags & MSG_TRUNC) != 0)
        return fail(ErrorKind::invalid, "a message of another length");
    if (taken.size() > 1) return fail(ErrorKind::invalid, "more than one descriptor");
    // With room for another: so it is this process that may have no more.
    if ((message.msg_flags & MSG_CTRUNC) != 0)
        return fail(ErrorKind::io, "no descriptor is free for what the other process sent");
    if (taken.empty()) return conf::Descriptor();
    return std::move(taken.front());
}

Result<conf::Descriptor> make_sealed_file(std::span<const char> bytes, MemoryFile what) {
    const bool is_program = what == MemoryFile::program;
    const char* const name = is_program ? "tidepool-worker" : "variant";
    constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    conf::Descriptor file(memfd_create(name, is_program ? kFlags | kExecutable : kFlags));
    if (!file && is_program && errno == EINVAL)  // Linux before 6.3, where all of them are
        file = conf::Descriptor(memfd_create(name, kFlags));
    if (!file) return fail_errno(errno, "make a memory file");
    if (const int failed = conf::write_all(file.get(), bytes); failed != 0)
        return fail_errno(failed, "write a memory file");
    if (auto sealed = seal_file(file.get()); !sealed) return std::unexpected(sealed.error());
    return file;
}

Result<void> seal_file(int fd) {
    if (fcntl(fd, F_ADD_SEALS, kSeals) != 0) return fail_errno(errno, "seal a memory file");
    return {};
}

bool is_sealed_file(int fd, std::uint64_t bytes) {
    struct stat status{};
    return fcntl(fd, F_GET_SEALS) == kSeals && fstat(fd, &status) == 0 &&
           static_cast<std::uint64_t>(status.st_size) == bytes;
}

}  // namespace tidepool::transform
