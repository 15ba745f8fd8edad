// A form gives the same events however it is cut, and one that is well formed gives back what went
// in. The first byte says which of the two is tried, the next four where cuts are.
#include "proxy/upload/multipart.h"
#include "tests/fuzz/check.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace tidepool::upload;
using tidepool::fuzz::check;
using Event = MultipartReader::Event;

namespace {

constexpr std::string_view kBoundary = "b0";
constexpr MultipartLimits kLimits{.head_bytes = 200, .parts = 5};

struct Part {
    PartHead head{};
    std::string content{};
    bool ended = false;
    bool operator==(const Part&) const = default;
};

struct Form {
    std::vector<Part> parts{};
    bool finished = false;
    std::string error{};
    bool operator==(const Form&) const = default;
};

void check_head(const PartHead& head) {
    const std::string file_name = head.file_name.value_or("");
    check(file_name.find_first_of("/\\") == std::string::npos);
    for (const std::string& text : {head.name, file_name, head.content_type}) {
        check(std::ranges::none_of(
            text, [](char c) { return (static_cast<unsigned char>(c) < 0x20) || c == 0x7F; }));
    }
}

// Where the next input ends, of `left` bytes.
class Cuts {
  public:
    explicit Cuts(std::array<std::uint8_t, 4> lengths) : lengths_(lengths) {}
    std::size_t next(std::size_t left) {
        const std::size_t length = lengths_[turn_++ % lengths_.size()];
        return std::clamp<std::size_t>(length, 1, left);
    }

  private:
    std::array<std::uint8_t, 4> lengths_;
    std::size_t turn_ = 0;
};

void read_piece(MultipartReader& reader, std::string_view piece, Form& form) {
    while (true) {
        const std::size_t before = piece.size();
        const Event event = reader.next(piece);
        check(piece.size() <= before);
        check((event == Event::content) == !reader.content().empty());
        switch (event) {
            case Event::need_more:
                check(piece.empty());
                return;
            case Event::part_begin:
                check(form.parts.empty() || form.parts.back().ended);
                check_head(reader.head());
                form.parts.push_back({reader.head(), "", false});
                break;
            case Event::content:
                check(!form.parts.empty() && !form.parts.back().ended);
                form.parts.back().content += reader.content();
                break;
            case Event::part_end:
                check(!std::exchange(form.parts.back().ended, true));
                break;
            case Event::end:
                check(reader.finished() && !std::exchange(form.finished, true));
                break;
            case Event::error:
                check(!reader.finished() && !reader.error().empty());
                form.error = reader.error();
                return;
        }
    }
}

Form read_whole(std::string_view text) {
    MultipartReader reader(kBoundary, kLimits);
    Form form;
    read_piece(reader, text, form);
    check(form.parts.size() <= kLimits.parts);
    return form;
}

Form read_cut(std::string_view text, Cuts cuts) {
    MultipartReader reader(kBoundary, kLimits);
    Form form;
    while (!text.empty()) {
        // In memory of its own, so that a sanitizer sees who reads beyond it.
        const std::string_view next = text.substr(0, cuts.next(text.size()));
        const std::vector<char> piece(next.begin(), next.end());
        text.remove_prefix(piece.size());
        read_piece(reader, {piece.data(), piece.size()}, form);
    }
    return form;
}

// Each line of a single LF ends a content; none has the boundary in it.
std::vector<std::string> contents_in(std::string_view text) {
    std::vector<std::string> contents(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r') && contents.size() < kLimits.parts) {
            contents.emplace_back();
        } else {
            contents.back() += text[i];
        }
    }
    for (std::string& content : contents) {
        for (std::size_t at = content.find(kBoundary); at != content.npos;
             at = content.find(kBoundary, at))
            content[at] = 'B';
    }
    return contents;
}

std::string written(const std::vector<std::string>& contents) {
    std::string text;
    for (const std::string& content : contents) {
        text += "--b0\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b.jpg\"\r\n\r\n";
        text += content + "\r\n";
    }
    return text + "--b0--\r\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kHead = 5;
    if (size < kHead) return 0;
    const Cuts cuts({data[1], data[2], data[3], data[4]});
    const std::string_view rest(reinterpret_cast<const char*>(data) + kHead, size - kHead);
    if (data[0] % 2 == 0) {
        check(read_cut(rest, cuts) == read_whole(rest));
        return 0;
    }
    const std::vector<std::string> contents = contents_in(rest);
    const std::string text = written(contents);
    const Form form = read_whole(text);
    check(read_cut(text, cuts) == form);
    check(form.finished && form.error.empty() && form.parts.size() == contents.size());
    for (std::size_t i = 0; i < contents.size(); ++i) {
        check(form.parts[i] == Part{{"a", "b.jpg", ""}, contents[i], true});
    }
    return 0;
}
