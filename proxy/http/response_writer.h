// Writes one answer to a socket, as far as that goes without waiting.
#pragma once

#include "proxy/http/response.h"
#include "proxy/http/unread_chunk.h"
#include "proxy/loop/call_batch.h"
#include "proxy/tls/session.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <sys/uio.h>

namespace tidepool::http {

// The loop asks it to push() and, where that did not finish, waits for what it names and asks
// again. Loop thread only.
class ResponseWriter {
  public:
    // `tls` seals what goes to `fd`; null: nothing does. It outlives this.
    explicit ResponseWriter(int fd, tls::Session* tls = nullptr) : fd_(fd), tls_(tls) {}
    ResponseWriter(const ResponseWriter&) = delete;
    ResponseWriter& operator=(const ResponseWriter&) = delete;

    // `response` must live until the last push(), and its files have just been seen to be
    // unchanged. `tail` ends the head and is copied. `is_last`: nothing will follow this answer.
    // `gathers`: the first push() may end with Step::call.
    void begin(const Response& response, std::string_view tail, bool with_body,
               bool is_last = false, bool gathers = false);

    enum class Step : std::uint8_t {
        done,
        full,     // the socket takes no more for now
        unread,   // the file's next bytes are not in memory: read chunk(), then call chunk_read()
        starved,  // the next bytes have not arrived: incoming().more(incoming_offset())
        pause,    // there is more to do, after others had their turn
        failed,   // the peer is gone
        spoilt,   // the file is no longer the one whose sending was begun
        call,     // call() is to be made, then called() instead of push()
    };
    // `now_ms` is the loop's clock.
    Step push(std::uint64_t now_ms);

    // After Step::call: for whoever makes calls of many at once. It stays where it is.
    loop::SocketCall& call() { return call_; }
    // Goes on behind it.
    Step called(std::uint64_t now_ms);

    // After Step::unread: what to read, and by whom.
    const UnreadChunk& chunk() const { return unread_; }
    void chunk_read(std::vector<char> bytes);

    // After Step::starved.
    Incoming& incoming() const { return *incoming_->source; }
    std::uint64_t incoming_offset() const { return offset_; }

    // Of this answer; the kernel has taken them, or the TLS session, which holds few of them.
    std::uint64_t bytes_sent() const { return sent_; }
    std::uint64_t body_bytes_sent() const { return sent_ > head_bytes_ ? sent_ - head_bytes_ : 0; }

  private:
    Step push_on(std::uint64_t now_ms);
    void join_incoming();
    void add_piece(std::string_view text);
    Step push_pieces();
    Step pieces_went(std::int64_t result);
    Step push_file(std::uint64_t now_ms);
    Step push_incoming(std::uint64_t now_ms);
    Step push_stretch(const std::shared_ptr<const storage::OpenFile>& file,
                      std::uint64_t file_offset, std::uint64_t bytes, loop::WorkerPool* readers,
                      std::uint64_t now_ms);
    Step seal_pieces();
    Step seal(std::string_view text);
    Step seal_file(const storage::OpenFile& file, std::uint64_t file_offset, std::uint64_t bytes);
    std::uint64_t turn_bytes() const;
    void count_sent(std::uint64_t bytes);
    bool next_part();

    int fd_;
    tls::Session* tls_;
    bool is_last_ = false;
    const Response* response_ = nullptr;
    std::size_t next_part_ = 0;
    std::size_t parts_end_ = 0;
    std::uint64_t sent_ = 0;
    std::uint64_t head_bytes_ = 0;

    // Text that goes before anything else.
    std::array<iovec, 4> pieces_{};
    std::size_t first_piece_ = 0;
    std::size_t pieces_end_ = 0;
    bool more_follows_ = false;
    bool gathers_ = false;
    loop::SocketCall call_;
    std::array<char, 1024> text_;  // the tail, and where there is room the head before it

    // The file, or what arrives, that is being sent; null: neither.
    const FilePart* file_ = nullptr;
    const IncomingPart* incoming_ = nullptr;
    std::uint64_t offset_ = 0;
    std::uint64_t end_ = 0;
    std::uint64_t sent_in_a_row_ = 0;
    bool just_checked_ = false;  // that the file is unchanged, by whoever made the response
    // What must be read.
    UnreadChunk unread_;
    std::vector<char> chunk_;
};

}  // namespace tidepool::http
