#include "proxy/http/answer_head.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tidepool::http {

namespace {

constexpr std::size_t kUsualFields = 16;
constexpr std::string_view kVersion = "HTTP/1.";
constexpr std::size_t kStatusBegin = 9;  // behind "HTTP/1.1 "
constexpr std::size_t kStatusEnd = 12;

bool is_digit(char each) {
    return each >= '0' && each <= '9';
}

// tchar of RFC 9110, 5.6.2.
bool is_token_char(char each) {
    return is_digit(each) || (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").contains(each);
}

char lower(char each) {
    return each >= 'A' && each <= 'Z' ? static_cast<char>(each + 32) : each;
}

bool is_equal_word(std::string_view text, std::string_view lower_word) {
    return std::ranges::equal(text, lower_word, [](char a, char b) { return lower(a) == b; });
}

// Calls `each` with the words between commas, without the space around them.
template <class Each>
void for_words(std::string_view list, Each each) {
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        std::string_view word = list.substr(0, comma);
        list.remove_prefix(std::min(comma + 1, list.size()));
        while (!word.empty() && (word.front() == ' ' || word.front() == '\t'))
            word.remove_prefix(1);
        while (!word.empty() && (word.back() == ' ' || word.back() == '\t'))
            word.remove_suffix(1);
        if (!word.empty()) each(word);
    }
}

}  // namespace

bool AnswerHead::may_begin(std::string_view text) {
    const std::size_t known = std::min(text.size(), kVersion.size());
    return text.substr(0, known) == kVersion.substr(0, known);
}

Result<AnswerHead> AnswerHead::parse(std::string_view text) {
    const auto wrong = [](const char* what) { return fail(ErrorKind::io, what); };
    AnswerHead head;
    head.text_ = text;
    head.fields_.reserve(kUsualFields);
    std::size_t line_end = head.text_.find("\r\n");
    if (line_end == text.npos || !head.read_status_line(line_end))
        return wrong("the answer is not HTTP");
    while (true) {
        const std::size_t begin = line_end + 2;
        line_end = head.text_.find('\n', begin);
        if (line_end == text.npos || head.text_[line_end - 1] != '\r')
            return wrong("the answer's head has a line without its end");
        --line_end;
        if (line_end == begin) break;
        if (!head.read_field(begin, line_end))
            return wrong("the answer's head has a line that is no field");
    }
    if (!head.find_framing()) return wrong("the answer leaves in doubt where its body ends");
    return head;
}

bool AnswerHead::read_status_line(std::size_t end) {
    const std::string_view line = part(0, static_cast<std::uint32_t>(end));
    if (line.size() < kStatusEnd || !line.starts_with(kVersion) || !is_digit(line[7]) ||
        line[8] != ' ' || (line.size() > kStatusEnd && line[kStatusEnd] != ' '))
        return false;
    if (!std::ranges::all_of(line.substr(kStatusBegin, 3), is_digit)) return false;
    std::from_chars(line.data() + kStatusBegin, line.data() + kStatusEnd, status_);
    is_1_0_ = line[7] == '0';
    return status_ >= 100;
}

bool AnswerHead::read_field(std::size_t begin, std::size_t end) {
    const std::size_t colon = text_.find(':', begin);
    if (colon >= end || colon == begin) return false;
    for (std::size_t i = begin; i < colon; ++i) {
        if (!is_token_char(text_[i])) return false;
        text_[i] = lower(text_[i]);
    }
    std::size_t value = colon + 1;
    const auto is_blank = [this](std::size_t at) { return text_[at] == ' ' || text_[at] == '\t'; };
    while (value < end && is_blank(value))
        ++value;
    while (end > value && is_blank(end - 1))
        --end;
    if (std::any_of(text_.begin() + static_cast<std::ptrdiff_t>(value),
                    text_.begin() + static_cast<std::ptrdiff_t>(end),
                    [](char each) { return each == '\0' || each == '\r'; }))
        return false;
    fields_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(colon),
                       static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(end)});
    return true;
}

std::string_view AnswerHead::field(std::string_view name) const {
    for (const Field& each : fields_) {
        if (name_of(each) == name) return value_of(each);
    }
    return {};
}

// RFC 9112, 6.3 and 9.3. Of two that contradict each other none is believed.
bool AnswerHead::find_framing() {
    bool closes = is_1_0_;
    bool has_coding = false;
    bool is_chunked = false;
    bool has_length = false;
    bool in_doubt = false;
    for (const Field& each : fields_) {
        const std::string_view name = name_of(each);
        const std::string_view value = value_of(each);
        if (name == "connection") {
            for_words(value, [&](std::string_view word) {
                if (is_equal_word(word, "close")) closes = true;
            });
        } else if (name == "transfer-encoding") {
            for_words(value, [&](std::string_view word) {
                if (has_coding || !is_equal_word(word, "chunked")) in_doubt = true;
                has_coding = is_chunked = true;
            });
            if (!has_coding) in_doubt = true;  // it is there and names none
        } else if (name == "content-length") {
            std::uint64_t length = 0;
            const auto [stop, error] =
                std::from_chars(value.data(), value.data() + value.size(), length);
            if (value.empty() || error != std::errc() || stop != value.data() + value.size())
                in_doubt = true;
            if (has_length && length != content_length_) in_doubt = true;
            has_length = true;
            content_length_ = length;
        }
    }
    const bool has_no_body = status_ < 200 || status_ == 204 || status_ == 304;
    if (has_no_body) {
        framing_ = Framing::none;
    } else if (is_chunked) {
        framing_ = Framing::chunked;
        closes = closes || has_length;
    } else if (has_length) {
        framing_ = content_length_ == 0 ? Framing::none : Framing::length;
    } else {
        framing_ = Framing::until_close;
        closes = true;
    }
    keeps_alive_ = !closes;
    return !in_doubt;
}

}  // namespace tidepool::http
