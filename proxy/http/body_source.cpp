#include "proxy/http/body_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <variant>

#include <unistd.h>

namespace tidepool::http {

namespace {

// What a worker reads at once of a file that is not in memory.
constexpr std::uint64_t kChunkBytes = 64ULL * 1024;
// And at least, however little is wanted: a page, which costs as much to read as a byte.
constexpr std::uint64_t kLeastChunkBytes = 4096;
// Of a file, between two looks at whether it is unchanged, within one iteration of the loop.
constexpr std::uint64_t kCheckBytes = 64ULL * 1024;

}  // namespace

void BodySource::begin(const Response& response, bool with_body, std::uint64_t now_ns) {
    response_ = &response;
    next_part_ = with_body ? 0 : response.parts.size();
    left_ = with_body ? response.body_bytes : 0;
    text_ = with_body ? response.shared_body : std::string_view();
    part_ = nullptr;
    incoming_ = nullptr;
    offset_ = end_ = 0;
    is_new_ = true;
    checked_ns_ = now_ns;
    file_ = nullptr;
    free_chunk();
}

void BodySource::free_chunk() {
    std::vector<char>().swap(chunk_);  // clear() would keep its memory
}

bool BodySource::next_part() {
    part_ = nullptr;
    incoming_ = nullptr;
    if (next_part_ == response_->parts.size()) return false;
    const Part& part = response_->parts[next_part_++];
    if (const auto* text = std::get_if<std::string>(&part)) {
        text_ = *text;
    } else if ((part_ = std::get_if<FilePart>(&part)) != nullptr) {
        offset_ = part_->offset;
        end_ = part_->offset + part_->length;
    } else {
        incoming_ = &std::get<IncomingPart>(part);
        offset_ = incoming_->offset;
        end_ = incoming_->offset + incoming_->length;
    }
    return true;
}

// A program that rewrites the file in place must not make us end a mixture of two versions as if it
// were whole. Looked at within this iteration of the loop it is as good as now.
bool BodySource::is_unchanged(std::uint64_t now_ns) {
    const bool is_known =
        now_ns == checked_ns_ && (is_new_ || offset_ - checked_from_ < kCheckBytes);
    if (!is_known && !file_->unchanged()) return false;
    if (!is_known || is_new_) checked_from_ = offset_;
    is_new_ = false;
    checked_ns_ = now_ns;
    return true;
}

BodySource::Look BodySource::look_at_file(std::uint64_t bytes, std::uint64_t now_ns) {
    if (file_->in_memory(file_offset_, bytes, now_ns / 1'000'000))
        return {Step::ready, static_cast<std::size_t>(bytes)};
    unread_ = std::min(end_ - offset_, kChunkBytes);
    return {Step::unread};
}

BodySource::Look BodySource::look(std::size_t most, std::uint64_t now_ns) {
    while (text_.empty()) {
        if (offset_ == end_) {
            if (!next_part()) return {Step::end};
            continue;
        }
        std::uint64_t bytes = std::min<std::uint64_t>(most, end_ - offset_);
        if (part_ != nullptr) {
            file_ = part_->file;
            readers_ = part_->readers;
            file_offset_ = offset_;
            if (!is_unchanged(now_ns)) return {Step::spoilt};
            return look_at_file(bytes, now_ns);
        }
        const Incoming::View view = incoming_->source->look(offset_);
        if (view.bytes == 0) return {Step::starved};
        bytes = std::min(bytes, view.bytes);
        if (view.text.empty()) {
            file_ = view.file;
            readers_ = view.readers;
            file_offset_ = view.file_offset;
            const Look seen = look_at_file(bytes, now_ns);
            unread_ = std::min(unread_, view.bytes);
            return seen;
        }
        file_ = nullptr;
        text_ = view.text.substr(0, bytes);
        offset_ += bytes;  // take() knows these as text
    }
    file_ = nullptr;
    return {Step::ready, std::min(most, text_.size())};
}

bool BodySource::take(std::span<char> into) {
    if (file_ == nullptr) {
        std::memcpy(into.data(), text_.data(), into.size());
        text_.remove_prefix(into.size());
        left_ -= into.size();
        if (text_.empty() && has_chunk()) free_chunk();
        return true;
    }
    std::size_t got = 0;
    while (got < into.size()) {
        const ssize_t came = pread(file_->fd(), into.data() + got, into.size() - got,
                                   static_cast<off_t>(file_offset_ + got));
        if (came < 0 && errno == EINTR) continue;
        if (came <= 0) return false;
        got += static_cast<std::size_t>(came);
    }
    offset_ += got;
    left_ -= got;
    return true;
}

UnreadChunk BodySource::chunk(std::uint64_t wanted) const {
    return {file_, readers_, file_offset_, std::min(unread_, std::max(wanted, kLeastChunkBytes)),
            part_ == nullptr};
}

void BodySource::chunk_read(std::vector<char> bytes) {
    chunk_ = std::move(bytes);
    text_ = {chunk_.data(), chunk_.size()};
    offset_ += chunk_.size();
}

bool BodySource::drop_chunk() {
    if (chunk_.size() <= kLeastChunkBytes) return false;
    offset_ -= text_.size();
    text_ = {};
    free_chunk();
    return true;
}

}  // namespace tidepool::http
