#include "proxy/http/body_reader.h"

#include <string>

#include <llhttp.h>

namespace tidepool::http {

namespace {

const llhttp_settings_t& settings() {
    static const llhttp_settings_t instance = [] {
        llhttp_settings_t made;
        llhttp_settings_init(&made);
        made.on_message_complete = [](llhttp_t*) -> int { return HPE_PAUSED; };
        return made;
    }();
    return instance;
}

}  // namespace

BodyReader::BodyReader(const RequestHead& head) : parser_(std::make_unique<llhttp_t>()) {
    llhttp_init(parser_.get(), HTTP_REQUEST, &settings());
    // A head of our own instead of the client's: llhttp knows fewer methods than exist and reads
    // lengths by itself.
    const std::string framing = head.chunked
                                    ? "Transfer-Encoding: chunked"
                                    : "Content-Length: " + std::to_string(head.content_length);
    feed("POST / HTTP/1.1\r\n" + framing + "\r\n\r\n");
}

BodyReader::~BodyReader() = default;

BodyReader::Outcome BodyReader::feed(std::string_view data) {
    if (outcome_ != Outcome::incomplete) return outcome_;
    const llhttp_errno_t error = llhttp_execute(parser_.get(), data.data(), data.size());
    if (error == HPE_PAUSED) {
        left_over_ = static_cast<std::size_t>(data.data() + data.size() -
                                              llhttp_get_error_pos(parser_.get()));
        outcome_ = Outcome::complete;
    } else if (error != HPE_OK) {
        outcome_ = Outcome::malformed;
    }
    return outcome_;
}

}  // namespace tidepool::http
