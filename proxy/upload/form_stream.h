// A form with files as its request brings it, one thing after the other.
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/http/handler.h"
#include "proxy/loop/task.h"
#include "proxy/upload/multipart.h"

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::upload {

// Belongs to one request and its loop.
class FormStream {
  public:
    enum class Kind : std::uint8_t {
        field,    // name, and all of its value in `content`
        file,     // name and head: its content follows
        content,  // of the file: the next of it
        end,      // the form is whole, and so is the request's body
    };
    struct Item {
        Kind kind = Kind::end;
        std::string_view content{};  // until the next call
    };

    // Nothing where the request has no form. `body` outlives it.
    static std::optional<FormStream> of(const http::RequestHead& head, http::BodyStream& body);

    // Or why it cannot be taken, as it is answered. After `end` or that it is not called again.
    loop::Task<std::expected<Item, api::ApiAnswer>> next();
    // Of the field or file that came last.
    const PartHead& head() const { return reader_.head(); }

  private:
    FormStream(http::BodyStream& body, const std::string& boundary)
        : body_(body), reader_(boundary) {}
    loop::Task<std::optional<api::ApiAnswer>> skip_rest();

    http::BodyStream& body_;
    MultipartReader reader_;
    std::string_view input_;
    std::string value_;
    bool in_file_ = false;
};

}  // namespace tidepool::upload
