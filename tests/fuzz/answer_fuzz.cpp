// Whatever an origin says before a body: what is taken for a head is one from its first byte on,
// means the same when it is read again, and leaves no doubt about its body.
#include "proxy/http/answer_head.h"
#include "tests/fuzz/check.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

using namespace tidepool::http;
using tidepool::fuzz::check;
using Framing = AnswerHead::Framing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    auto parsed = AnswerHead::parse(input);
    if (!parsed) return 0;
    check(input.contains("\r\n\r\n"));
    for (std::size_t bytes = 0; bytes <= input.size(); ++bytes)
        check(AnswerHead::may_begin(input.substr(0, bytes)));
    const AnswerHead head = std::move(*parsed);
    check(head.status() >= 100 && head.status() <= 999);
    const auto again = AnswerHead::parse(input);
    check(again && again->status() == head.status() && again->framing() == head.framing() &&
          again->field_count() == head.field_count());
    if (head.framing() == Framing::length) {
        check(head.content_length() > 0 && !head.field("content-length").empty());
        check(head.field("transfer-encoding").empty());
    }
    if (head.framing() == Framing::until_close) check(!head.keeps_alive());
    if (head.framing() == Framing::chunked && !head.field("content-length").empty())
        check(!head.keeps_alive());
    if (head.status() == 304) check(head.framing() == Framing::none);
    for (const char each : head.field("connection"))
        check(each != '\r' && each != '\0');
    return 0;
}
