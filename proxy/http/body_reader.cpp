#include "proxy/http/body_reader.h"

#include <string>

#include <llhttp.h>

namespace tidepool::http {

// llhttp takes a bare line feed for the end of the trailers. So the line ends of all that is not
// content are checked here.
struct BodyReader::Parser : llhttp_t {
    // Judges what stands between the last content and `end`.
    void check_framing(const char* end) {
        for (; unchecked != end; ++unchecked) {
            if (after_return != (*unchecked == '\n')) bare_line_end = true;
            after_return = *unchecked == '\r';
        }
    }

    std::string* content = nullptr;
    const char* unchecked = nullptr;
    bool after_return = false;
    bool bare_line_end = false;

    static const llhttp_settings_t& settings() {
        static const llhttp_settings_t instance = [] {
            llhttp_settings_t made;
            llhttp_settings_init(&made);
            made.on_body = [](llhttp_t* base, const char* piece, std::size_t bytes) -> int {
                auto& parser = *static_cast<Parser*>(base);
                parser.check_framing(piece);
                parser.unchecked = piece + bytes;
                if (parser.content != nullptr) parser.content->append(piece, bytes);
                return HPE_OK;
            };
            made.on_message_complete = [](llhttp_t*) -> int { return HPE_PAUSED; };
            return made;
        }();
        return instance;
    }
};

BodyReader::BodyReader(BodyFraming framing, std::string* content)
    : parser_(std::make_unique<Parser>()) {
    parser_->content = content;
    llhttp_init(parser_.get(), HTTP_REQUEST, &Parser::settings());
    // A head of our own instead of the peer's: llhttp knows fewer methods than exist and reads
    // lengths by itself.
    const std::string field = framing.chunked
                                  ? "Transfer-Encoding: chunked"
                                  : "Content-Length: " + std::to_string(framing.content_length);
    feed("POST / HTTP/1.1\r\n" + field + "\r\n\r\n");
}

BodyReader::~BodyReader() = default;

BodyReader::Outcome BodyReader::feed(std::string_view data) {
    if (outcome_ != Outcome::incomplete) return outcome_;
    parser_->unchecked = data.data();
    const char* end = data.data() + data.size();
    const llhttp_errno_t error = llhttp_execute(parser_.get(), data.data(), data.size());
    if (error == HPE_PAUSED) {
        end = llhttp_get_error_pos(parser_.get());
        left_over_ = static_cast<std::size_t>(data.data() + data.size() - end);
        outcome_ = Outcome::complete;
    } else if (error != HPE_OK) {
        outcome_ = Outcome::malformed;
        return outcome_;
    }
    parser_->check_framing(end);
    if (parser_->bare_line_end) outcome_ = Outcome::malformed;
    return outcome_;
}

}  // namespace tidepool::http
