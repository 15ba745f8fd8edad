// An answer before it is sent.
#pragma once

#include "proxy/loop/task.h"
#include "proxy/loop/worker_pool.h"
#include "storage/open_file.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tidepool::http {

// Where an answer's bytes came from: the label of metrics and log.
enum class Source : std::uint8_t {
    none,      // no content was looked for: refusals, OPTIONS, errors
    memory,    // a body held in memory
    file,      // a descriptor that was open already
    disk,      // opened for this request
    shelf,     // an object of a bucket, from the disk cache
    origin,    // fetched for this request, or for one that asked for it shortly before
    absent,    // known to be absent, or found to be
    internal,  // made here: metrics, health
};
inline constexpr std::size_t kSources = static_cast<std::size_t>(Source::internal) + 1;
std::string_view name(Source source);

// A stretch of a file. Parts that are not in the page cache are read by `readers`, so the loop
// never waits for a disk.
struct FilePart {
    std::shared_ptr<const storage::OpenFile> file;
    loop::WorkerPool* readers = nullptr;  // outlives the response
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
};

// A body that is still arriving from somewhere else. Belongs to one answer and its loop.
class Incoming {
  public:
    virtual ~Incoming() = default;

    // What can be sent now: `text`, or where that is empty a stretch of `file`; no bytes = nothing
    // has come yet. Valid until the next call.
    struct View {
        std::uint64_t bytes = 0;
        std::string_view text;
        std::shared_ptr<const storage::OpenFile> file{};
        std::uint64_t file_offset = 0;
        loop::WorkerPool* readers = nullptr;  // of the file, as in FilePart
    };
    // From `offset` on, which only grows from call to call: what lies before it is done with.
    virtual View look(std::uint64_t offset) = 0;

    // Waits until look() will give something. False: it broke, and no more will come.
    virtual loop::Task<bool> more(std::uint64_t offset) = 0;
};

struct IncomingPart {
    std::shared_ptr<Incoming> source;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
};
using Part = std::variant<std::string, FilePart, IncomingPart>;

// The head is the status line and all fields but Date and Connection, each line with its CRLF;
// these two and the empty line are added when it is sent. It is either `head` or, for answers that
// are prepared once and sent often, `shared_status` and `shared_lines`, which `owner` keeps alive
// as it does `shared_body`. The body is `shared_body` followed by `parts`.
struct Response {
    int status = 200;
    Source source = Source::none;
    std::string head;
    std::string_view shared_status;
    std::string_view shared_lines;
    std::string_view shared_body;
    std::shared_ptr<const void> owner;
    std::vector<Part> parts;
    std::uint64_t body_bytes =
        0;                 // what Content-Length says, also where the body is not sent (HEAD, 304)
    bool has_body = true;  // false: a 204 or 304, which has none whatever Content-Length would be
    bool close = false;    // end the connection after this answer

    std::string_view status_line() const {
        return head.empty() ? shared_status : std::string_view(head).substr(0, status_bytes());
    }
    std::string_view field_lines() const {
        return head.empty() ? shared_lines : std::string_view(head).substr(status_bytes());
    }

  private:
    std::size_t status_bytes() const { return std::min(head.find('\n'), head.size() - 1) + 1; }
};

// "404 Not Found"; the number alone for a code without a usual phrase.
std::string status_line_text(int status);

// A complete small answer: the status line, `fields` (lines with CRLF), Content-Type, nosniff and
// Content-Length, and the text as body.
Response text_response(int status, std::string_view content_type, std::string_view text,
                       std::string_view fields = {});

}  // namespace tidepool::http
