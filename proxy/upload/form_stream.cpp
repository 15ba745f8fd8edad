#include "proxy/upload/form_stream.h"

#include "proxy/upload/upload_answers.h"

#include <utility>

namespace tidepool::upload {

namespace {

// Of one field that is no file: tokens are the longest of them.
constexpr std::size_t kMostValueBytes = 8192;
// Behind the form's end, where nothing is meant to be.
constexpr std::size_t kMostRestBytes = 8192;

api::ApiAnswer no_such_form(std::string_view why) {
    return api::api_error(400, "bad_request", why);
}

}  // namespace

std::optional<FormStream> FormStream::of(const http::RequestHead& head, http::BodyStream& body) {
    const auto boundary = boundary_of(head.single("Content-Type"));
    if (!boundary) return std::nullopt;
    return FormStream(body, *boundary);
}

loop::Task<std::expected<FormStream::Item, api::ApiAnswer>> FormStream::next() {
    using Event = MultipartReader::Event;
    while (true) {
        switch (reader_.next(input_)) {
            case Event::need_more: {
                auto more = co_await body_.next();
                if (!more) co_return std::unexpected(broken_off(more.error()));
                if (more->empty()) {
                    co_return std::unexpected(
                        no_such_form("the form is cut off: its last boundary is missing"));
                }
                input_ = *more;
                break;
            }
            case Event::part_begin:
                in_file_ = head().file_name.has_value();
                value_.clear();
                if (in_file_) co_return Item{Kind::file};
                break;
            case Event::content:
                if (in_file_) co_return Item{Kind::content, reader_.content()};
                value_ += reader_.content();
                if (value_.size() > kMostValueBytes) {
                    co_return std::unexpected(no_such_form("the field \"" + head().name +
                                                           "\" is longer than 8192 bytes"));
                }
                break;
            case Event::part_end:
                if (!std::exchange(in_file_, false)) co_return Item{Kind::field, value_};
                break;
            case Event::end:
                if (auto problem = co_await skip_rest()) co_return std::unexpected(*problem);
                co_return Item{Kind::end};
            case Event::error:
                co_return std::unexpected(no_such_form(reader_.error()));
        }
    }
}

// What the form is followed by in its request.
loop::Task<std::optional<api::ApiAnswer>> FormStream::skip_rest() {
    std::size_t bytes = input_.size();
    while (true) {
        const auto more = co_await body_.next();
        if (!more) co_return broken_off(more.error());
        if (more->empty()) co_return std::nullopt;
        bytes += more->size();
        if (bytes > kMostRestBytes)
            co_return no_such_form("there is more behind the form's last boundary");
    }
}

}  // namespace tidepool::upload
