#include "proxy/upload/multipart.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace tidepool::upload {

namespace {

constexpr std::string_view kLineEnd = "\r\n";
// RFC 2046, 5.1.1 has any number of blanks behind a boundary; nobody sends one.
constexpr std::size_t kMostPadding = 128;
constexpr std::size_t kMostPreambleBytes = 8192;

}  // namespace

// The first delimiter may stand at the very beginning, as if a line had ended before it.
MultipartReader::MultipartReader(std::string_view boundary, MultipartLimits limits)
    : delimiter_(fmt::format("\r\n--{}", boundary)),
      limits_(limits),
      held_(kLineEnd),
      borrowed_(kLineEnd.size()) {}

MultipartReader::Event MultipartReader::next(std::string_view& input) {
    content_ = {};
    while (true) {
        switch (state_) {
            case State::preamble:
            case State::content:
                if (const auto event = search(input)) return *event;
                break;
            case State::delimited:
                if (closing_) {
                    state_ = State::epilogue;
                    return Event::end;
                }
                if (parts_ == limits_.parts)
                    return fail_with(fmt::format("the form has more than {} parts", parts_));
                ++parts_;
                state_ = State::head;
                break;
            case State::head:
                return read_head(input);
            case State::epilogue:
                input = {};
                return Event::need_more;
            case State::failed:
                return Event::error;
        }
    }
}

// Goes on to the next thing to report, in contents or before the first part; nothing where the
// state has changed or there is more to read.
std::optional<MultipartReader::Event> MultipartReader::search(std::string_view& input) {
    if (input.empty()) return Event::need_more;
    if (!held_.empty()) return decide(input);
    const std::size_t length = bytes_before_candidate(input);
    const std::string_view bytes = input.substr(0, length);
    input.remove_prefix(length);
    if (length > 0) return pass(bytes);
    held_ = input.front();
    input.remove_prefix(1);
    return std::nullopt;
}

// How many bytes at the front of `input` are no part of a delimiter, whatever follows. Only its
// first byte is a CR, so what begins at another place can not be one that began before.
std::size_t MultipartReader::bytes_before_candidate(std::string_view input) const {
    // Several times as fast as string_view::find, which stops at each CR.
    if (const void* const found =
            memmem(input.data(), input.size(), delimiter_.data(), delimiter_.size()))
        return static_cast<std::size_t>(static_cast<const char*>(found) - input.data());
    const std::size_t tail = input.size() - std::min(input.size(), delimiter_.size() - 1);
    const std::size_t last = input.rfind('\r');
    if (last == input.npos || last < tail) return input.size();
    return delimiter_.starts_with(input.substr(last)) ? last : input.size();
}

// These bytes are what is between delimiters.
std::optional<MultipartReader::Event> MultipartReader::pass(std::string_view bytes) {
    if (bytes.empty()) return std::nullopt;
    if (state_ == State::content) {
        content_ = bytes;
        return Event::content;
    }
    preamble_bytes_ += bytes.size();
    if (preamble_bytes_ > kMostPreambleBytes)
        return fail_with(fmt::format("no part begins within {} bytes", kMostPreambleBytes));
    return std::nullopt;
}

// Adds to what is held until it is known to be a delimiter or not.
std::optional<MultipartReader::Event> MultipartReader::decide(std::string_view& input) {
    while (!input.empty()) {
        const Verdict verdict = judge(input.front());
        if (verdict == Verdict::none) {
            std::swap(released_, held_);
            held_.clear();
            return pass(std::string_view(released_).substr(std::exchange(borrowed_, 0)));
        }
        held_ += input.front();
        input.remove_prefix(1);
        if (verdict == Verdict::open) {
            if (held_.size() > delimiter_.size() + kMostPadding)
                return fail_with(
                    fmt::format("more than {} blanks follow a boundary", kMostPadding));
            continue;
        }
        held_.clear();
        borrowed_ = 0;
        closing_ = verdict == Verdict::closing;
        const bool ends_part = state_ == State::content;
        state_ = State::delimited;
        if (ends_part) return Event::part_end;
        return std::nullopt;
    }
    return Event::need_more;
}

// What the bytes held are with one more.
MultipartReader::Verdict MultipartReader::judge(char next) const {
    if (held_.size() < delimiter_.size())
        return next == delimiter_[held_.size()] ? Verdict::open : Verdict::none;
    const std::string_view behind = std::string_view(held_).substr(delimiter_.size());
    const bool is_line_end = next == '\r' || next == ' ' || next == '\t';
    if (behind.empty()) return is_line_end || next == '-' ? Verdict::open : Verdict::none;
    switch (behind.back()) {
        case '-':
            return next == '-' ? Verdict::closing : Verdict::none;
        case '\r':
            return next == '\n' ? Verdict::delimiter : Verdict::none;
        default:
            return is_line_end ? Verdict::open : Verdict::none;
    }
}

MultipartReader::Event MultipartReader::read_head(std::string_view& input) {
    while (!input.empty()) {
        const std::size_t room = limits_.head_bytes - head_text_.size();
        if (room == 0)
            return fail_with(fmt::format("the head of part {} is longer than {} bytes", parts_,
                                         limits_.head_bytes));
        const std::size_t line_end = std::min(input.find('\n'), input.size() - 1);
        const std::size_t length = std::min(line_end + 1, room);
        head_text_ += input.substr(0, length);
        input.remove_prefix(length);
        if (!head_text_.ends_with('\n')) continue;
        if (!head_text_.ends_with(kLineEnd))
            return fail_with(fmt::format("a line in the head of part {} ends without CR", parts_));
        if (head_text_ == kLineEnd || head_text_.ends_with("\r\n\r\n")) return begin_part();
    }
    return Event::need_more;
}

// The line end before a delimiter belongs to it (RFC 2046, 5.1.1), and so does that of the head
// where a part has no content.
MultipartReader::Event MultipartReader::begin_part() {
    auto head = read_part_head(head_text_);
    if (!head) return fail_with(fmt::format("part {}: {}", parts_, head.error().text));
    head_ = std::move(*head);
    head_text_.clear();
    held_ = kLineEnd;
    borrowed_ = kLineEnd.size();
    state_ = State::content;
    return Event::part_begin;
}

MultipartReader::Event MultipartReader::fail_with(std::string what) {
    error_ = std::move(what);
    state_ = State::failed;
    return Event::error;
}

}  // namespace tidepool::upload
