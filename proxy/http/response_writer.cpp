#include "proxy/http/response_writer.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <variant>

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tidepool::http {

namespace {

// One sendfile(2) call's worth: between two of them the file is looked at again.
constexpr std::uint64_t kSendFileBytes = 1024 * 1024;
// After so much without a wait others get their turn.
constexpr std::uint64_t kTurnBytes = 2 * kSendFileBytes;
// The same where each byte is sealed here: some hundred microseconds.
constexpr std::uint64_t kSealedTurnBytes = 256ULL * 1024;
// What is sealed at once: four records' worth.
constexpr std::uint64_t kSealBytes = 64ULL * 1024;
// What a worker reads at once of a file that is not in memory.
constexpr std::uint64_t kReadBytes = 128 * 1024;
// A head is held back to leave in one packet with a file's beginning only where the file is small:
// behind a head the pages of a large one no longer fill the kernel's 64 KiB segments, which costs
// more than the packet saves (100 KiB: 22.5 us of CPU against 15.0, measured 2026-11-24).
constexpr std::uint64_t kJoinHeadBelow = 80 * 1024;

}  // namespace

void ResponseWriter::begin(const Response& response, std::string_view tail, bool with_body,
                           bool is_last, bool gathers) {
    response_ = &response;
    is_last_ = is_last;
    next_part_ = 0;
    parts_end_ = with_body ? response.parts.size() : 0;
    sent_ = 0;
    file_ = nullptr;
    incoming_ = nullptr;
    sent_in_a_row_ = 0;
    just_checked_ = true;
    if (!chunk_.empty()) chunk_ = std::vector<char>();  // = {} would keep its memory

    const std::array head{response.status_line(), response.field_lines(), tail};
    head_bytes_ = head[0].size() + head[1].size() + tail.size();
    first_piece_ = pieces_end_ = 0;
    if (head_bytes_ <= text_.size()) {  // one piece is cheaper than three
        char* end = text_.data();
        for (const std::string_view text : head)
            end = std::ranges::copy(text, end).out;
        add_piece({text_.data(), head_bytes_});
    } else {
        add_piece(head[0]);
        add_piece(head[1]);
        std::ranges::copy(tail, text_.data());
        add_piece({text_.data(), tail.size()});
    }
    if (with_body) add_piece(response.shared_body);
    // A head that waits for a body of no bytes would wait for the kernel's patience, 200 ms.
    more_follows_ =
        parts_end_ > 0 && response.body_bytes > 0 && response.body_bytes < kJoinHeadBelow;
    if (more_follows_) join_incoming();
    // A head that is held back leaves with what follows it at once.
    gathers_ = gathers && !more_follows_;
}

// What has arrived of the first part leaves by the same call as the head.
void ResponseWriter::join_incoming() {
    const auto* part = std::get_if<IncomingPart>(&response_->parts.front());
    if (part == nullptr) return;
    const Incoming::View view = part->source->look(part->offset);
    if (view.text.empty()) return;
    next_part();
    const std::string_view text = view.text.substr(0, end_ - offset_);
    add_piece(text);
    offset_ += text.size();
    more_follows_ = false;  // as in push_incoming
}

void ResponseWriter::add_piece(std::string_view text) {
    if (!text.empty()) pieces_[pieces_end_++] = {const_cast<char*>(text.data()), text.size()};
}

ResponseWriter::Step ResponseWriter::push(std::uint64_t now_ms) {
    const Step step = push_on(now_ms);
    if (tls_ == nullptr || step == Step::full || step == Step::failed) return step;
    if (step == Step::done && is_last_) tls_->say_end();
    const tls::Step flushed = tls_->flush();
    // What it waits for besides it names again, once all that there is has left.
    if (flushed == tls::Step::want_write && step != Step::pause && step != Step::spoilt)
        return Step::full;
    return flushed == tls::Step::closed ? Step::failed : step;
}

ResponseWriter::Step ResponseWriter::push_on(std::uint64_t now_ms) {
    while (true) {
        if (first_piece_ < pieces_end_) {
            const Step step = tls_ == nullptr ? push_pieces() : seal_pieces();
            if (step != Step::done) return step;
        }
        if (file_ != nullptr) {
            const Step step = push_file(now_ms);
            if (step != Step::done) return step;
            file_ = nullptr;
        }
        if (incoming_ != nullptr) {
            const Step step = push_incoming(now_ms);
            if (step != Step::done) return step;
            incoming_ = nullptr;
        }
        if (!next_part()) return Step::done;
    }
}

bool ResponseWriter::next_part() {
    if (next_part_ == parts_end_) return false;
    const Part& part = response_->parts[next_part_++];
    if (const auto* text = std::get_if<std::string>(&part)) {
        first_piece_ = pieces_end_ = 0;
        add_piece(*text);
        more_follows_ = next_part_ < parts_end_;
    } else if (const auto* file = std::get_if<FilePart>(&part)) {
        file_ = file;
        offset_ = file_->offset;
        end_ = file_->offset + file_->length;
    } else {
        incoming_ = &std::get<IncomingPart>(part);
        offset_ = incoming_->offset;
        end_ = incoming_->offset + incoming_->length;
    }
    return true;
}

ResponseWriter::Step ResponseWriter::called(std::uint64_t now_ms) {
    just_checked_ = false;  // others were sent what they asked for meanwhile
    const Step step = pieces_went(call_.result);
    return step == Step::done ? push(now_ms) : step;
}

ResponseWriter::Step ResponseWriter::push_pieces() {
    while (first_piece_ < pieces_end_) {
        call_ = {.kind = loop::SocketCall::Kind::send,
                 .fd = fd_,
                 .pieces = {pieces_.data() + first_piece_, pieces_end_ - first_piece_},
                 .flags = MSG_NOSIGNAL | (more_follows_ ? MSG_MORE : 0)};
        if (std::exchange(gathers_, false)) return Step::call;
        loop::make_call(call_);
        const Step step = pieces_went(call_.result);
        if (step != Step::done) return step;
    }
    return Step::done;
}

// Leaves out what the kernel has taken of them.
ResponseWriter::Step ResponseWriter::pieces_went(std::int64_t result) {
    if (result == -EINTR) return Step::done;
    if (result < 0) {
        just_checked_ = false;
        return result == -EAGAIN ? Step::full : Step::failed;
    }
    sent_ += static_cast<std::uint64_t>(result);
    auto left = static_cast<std::size_t>(result);
    while (first_piece_ < pieces_end_ && left >= pieces_[first_piece_].iov_len)
        left -= pieces_[first_piece_++].iov_len;
    if (first_piece_ < pieces_end_) {
        iovec& piece = pieces_[first_piece_];
        piece.iov_base = static_cast<char*>(piece.iov_base) + left;
        piece.iov_len -= left;
    }
    return Step::done;
}

ResponseWriter::Step ResponseWriter::seal(std::string_view text) {
    switch (tls_->write(text)) {
        case tls::Step::done:
            return Step::done;
        case tls::Step::want_write:
            sent_in_a_row_ = 0;
            return Step::full;
        default:
            return Step::failed;
    }
}

ResponseWriter::Step ResponseWriter::seal_pieces() {
    while (first_piece_ < pieces_end_) {
        if (sent_in_a_row_ >= kSealedTurnBytes) {
            sent_in_a_row_ = 0;
            return Step::pause;
        }
        iovec& piece = pieces_[first_piece_];
        const std::size_t bytes = std::min<std::size_t>(piece.iov_len, kSealBytes);
        const Step step = seal({static_cast<const char*>(piece.iov_base), bytes});
        if (step != Step::done) return step;
        sent_ += bytes;
        sent_in_a_row_ += bytes;
        piece.iov_base = static_cast<char*>(piece.iov_base) + bytes;
        piece.iov_len -= bytes;
        if (piece.iov_len == 0) ++first_piece_;
    }
    return Step::done;
}

// In the place of sendfile(2): the pages of a file cannot be sealed where they are.
ResponseWriter::Step ResponseWriter::seal_file(const storage::OpenFile& file,
                                               std::uint64_t file_offset, std::uint64_t bytes) {
    thread_local std::vector<char> plain(kSealBytes);
    ssize_t got = 0;
    do {
        got = pread(file.fd(), plain.data(), bytes, static_cast<off_t>(file_offset));
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return got < 0 ? Step::failed : Step::spoilt;  // cut short
    const auto came = static_cast<std::size_t>(got);
    const Step step = seal({plain.data(), came});
    if (step == Step::done) count_sent(came);
    return step;
}

std::uint64_t ResponseWriter::turn_bytes() const {
    return tls_ == nullptr ? kTurnBytes : kSealedTurnBytes;
}

void ResponseWriter::count_sent(std::uint64_t bytes) {
    offset_ += bytes;
    sent_ += bytes;
    sent_in_a_row_ += bytes;
}

// Sends part of a file by one call of the kernel's; `done`: some of it has gone.
ResponseWriter::Step ResponseWriter::push_stretch(
    const std::shared_ptr<const storage::OpenFile>& file, std::uint64_t file_offset,
    std::uint64_t bytes, loop::WorkerPool* readers, std::uint64_t now_ms) {
    if (tls_ != nullptr) bytes = std::min(bytes, kSealBytes);
    if (!file->in_memory(file_offset, bytes, now_ms)) {
        unread_ = {file, readers, file_offset, std::min(bytes, kReadBytes), file_ == nullptr};
        return Step::unread;
    }
    if (tls_ != nullptr) return seal_file(*file, file_offset, bytes);
    while (true) {
        auto at = static_cast<off_t>(file_offset);
        const ssize_t sent = sendfile(fd_, file->fd(), &at, bytes);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) {
            sent_in_a_row_ = 0;
            return Step::full;
        }
        if (sent < 0) return Step::failed;
        if (sent == 0) return Step::spoilt;  // cut short
        count_sent(static_cast<std::uint64_t>(sent));
        return Step::done;
    }
}

ResponseWriter::Step ResponseWriter::push_file(std::uint64_t now_ms) {
    const storage::OpenFile& file = *file_->file;
    while (offset_ < end_) {
        if (sent_in_a_row_ >= turn_bytes()) {
            sent_in_a_row_ = 0;
            return Step::pause;
        }
        // A program that rewrites the file in place must not make us end a mixture of two versions
        // as if it were whole.
        if (!std::exchange(just_checked_, false) && !file.unchanged()) return Step::spoilt;
        const std::uint64_t bytes = std::min(end_ - offset_, kSendFileBytes);
        const Step step = push_stretch(file_->file, offset_, bytes, file_->readers, now_ms);
        if (step != Step::done) return step;
    }
    return Step::done;
}

ResponseWriter::Step ResponseWriter::push_incoming(std::uint64_t now_ms) {
    while (offset_ < end_) {
        if (sent_in_a_row_ >= turn_bytes()) {
            sent_in_a_row_ = 0;
            return Step::pause;
        }
        const Incoming::View view = incoming_->source->look(offset_);
        if (view.bytes == 0) return Step::starved;
        const std::uint64_t bytes = std::min({view.bytes, end_ - offset_, kSendFileBytes});
        if (view.text.empty()) {
            const Step step =
                push_stretch(view.file, view.file_offset, bytes, view.readers, now_ms);
            if (step != Step::done) return step;
            continue;
        }
        if (tls_ != nullptr) {
            const std::string_view text = view.text.substr(0, std::min(bytes, kSealBytes));
            const Step step = seal(text);
            if (step != Step::done) return step;
            count_sent(text.size());
            continue;
        }
        // Whether more will follow at once nobody knows, so nothing is held back for it.
        iovec piece{const_cast<char*>(view.text.data()), bytes};
        loop::SocketCall call{.kind = loop::SocketCall::Kind::send,
                              .fd = fd_,
                              .pieces = {&piece, 1},
                              .flags = MSG_NOSIGNAL};
        loop::make_call(call);
        if (call.result == -EINTR) continue;
        if (call.result < 0) {
            sent_in_a_row_ = 0;
            return call.result == -EAGAIN ? Step::full : Step::failed;
        }
        count_sent(static_cast<std::uint64_t>(call.result));
    }
    return Step::done;
}

void ResponseWriter::chunk_read(std::vector<char> bytes) {
    unread_ = {};
    chunk_ = std::move(bytes);
    first_piece_ = pieces_end_ = 0;
    add_piece({chunk_.data(), chunk_.size()});
    offset_ += chunk_.size();
    more_follows_ = offset_ < end_;
}

}  // namespace tidepool::http
