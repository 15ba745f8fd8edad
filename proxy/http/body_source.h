// An answer's body for who takes its bytes in pieces, to frame or seal them himself.
#pragma once

#include "proxy/http/response.h"
#include "proxy/http/unread_chunk.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace tidepool::http {

// Never waits: says what it would have to wait for. Loop thread only.
class BodySource {
  public:
    // `response` lives until the body was taken, and its files were seen to be unchanged in this
    // iteration of the loop, which began at `now_ns`.
    void begin(const Response& response, bool with_body, std::uint64_t now_ns);

    // What can be had next, of the same piece.
    enum class Step : std::uint8_t {
        ready,    // this many bytes, at least one
        end,      // all was taken
        unread,   // of a file that is not in memory: read a chunk, then call chunk_read()
        starved,  // they have not arrived: incoming().more(incoming_offset())
        spoilt,   // the file is no longer the one whose sending was begun
    };
    struct Look {
        Step step = Step::end;
        std::size_t bytes = 0;
    };
    // At most `most` bytes; `now_ns` is when this iteration of the loop began.
    Look look(std::size_t most, std::uint64_t now_ns);
    // Copies the next bytes, not more than look() has just shown, in the same iteration of the
    // loop. False: the file was cut short.
    bool take(std::span<char> into);
    // Of the body, what was not taken.
    std::uint64_t left() const { return left_; }

    // After Step::unread: what to read, and by whom, for a reader who would take `wanted` bytes
    // now. Its memory is given back once they are taken.
    UnreadChunk chunk(std::uint64_t wanted) const;
    void chunk_read(std::vector<char> bytes);
    bool has_chunk() const { return !chunk_.empty(); }
    // Of more than a little: its memory is given back, and look() says again what is unread. False:
    // it is kept.
    bool drop_chunk();

    // After Step::starved.
    Incoming& incoming() const { return *incoming_->source; }
    std::uint64_t incoming_offset() const { return offset_; }

  private:
    bool next_part();
    bool is_unchanged(std::uint64_t now_ns);
    Look look_at_file(std::uint64_t bytes, std::uint64_t now_ns);
    void free_chunk();

    const Response* response_ = nullptr;
    std::size_t next_part_ = 0;
    std::uint64_t left_ = 0;
    // What is being taken: text, else a part's stretch from offset_ to end_.
    std::string_view text_;
    const FilePart* part_ = nullptr;
    const IncomingPart* incoming_ = nullptr;
    std::uint64_t offset_ = 0;
    std::uint64_t end_ = 0;
    // When the file was last seen to be unchanged, and from where on that has not been used up.
    bool is_new_ = false;  // by whoever made the response
    std::uint64_t checked_ns_ = 0;
    std::uint64_t checked_from_ = 0;
    // Of the last look: the file that the bytes are in; null: they are text_.
    std::shared_ptr<const storage::OpenFile> file_;
    loop::WorkerPool* readers_ = nullptr;
    std::uint64_t file_offset_ = 0;
    std::uint64_t unread_ = 0;  // of it, what a worker may read at once
    std::vector<char> chunk_;   // bytes of it that a worker has read; text_ is their rest
};

}  // namespace tidepool::http
