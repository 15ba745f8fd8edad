#include "proxy/http/fetch.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace tidepool::http {

namespace {

using loop::Step;
using loop::Wake;

// An answer's head beyond this, with those before it (100, 103), is nothing that a store sends.
constexpr std::size_t kHeadBytes = 64UL * 1024;
constexpr std::size_t kLeastPieceBytes = 16UL * 1024;
constexpr int kSwitchingProtocols = 101;

Error given_up() {
    return {ErrorKind::closed, "given up"};
}

}  // namespace

Fetch::Fetch(Fetcher& fetcher, FetchRequest request, std::size_t piece_bytes)
    : fetcher_(fetcher),
      request_(std::move(request)),
      url_(parse_url(request_.url)),
      piece_bytes_(std::max(piece_bytes, kLeastPieceBytes)),
      deadline_(
          fetcher.loop_.wheel(), [](void* self) { static_cast<Fetch*>(self)->time_out(); }, this) {}

Fetch::~Fetch() {
    if (ended_) return;
    keeps_alive_ = false;  // the rest of this answer would be read as the next one
    end(std::nullopt);
}

void Fetch::tell() {
    if (waiter_) std::exchange(waiter_, nullptr).resume();
}

void Fetch::time_out() {
    overdue_ = true;
    tell();
}

void Fetch::cancel() {
    if (ended_) return;
    cancelled_ = true;
    if (stream_) stream_->close_waits();
    tell();
}

std::optional<Error> Fetch::interrupted(const char* late) const {
    if (cancelled_) return given_up();
    if (overdue_) return Error{ErrorKind::timed_out, late};
    return std::nullopt;
}

Error Fetch::error_of(Wake wake, const char* late) const {
    return wake == Wake::timed_out ? Error{ErrorKind::timed_out, late} : given_up();
}

void Fetch::set_deadline(std::chrono::milliseconds wait) {
    overdue_ = false;
    deadline_.set(fetcher_.loop_.now_ms() + static_cast<std::uint64_t>(wait.count()));
}

// Nothing more comes. The connection is kept if it can be, and somebody else may have the turn.
void Fetch::end(std::optional<Error> error) {
    ended_ = true;
    error_ = std::move(error);
    deadline_.clear();
    chunks_.reset();
    if (origin_ == nullptr) return;
    if (stream_ && keeps_alive_ && !error_ && !cancelled_) {
        fetcher_.keep(*origin_, std::move(stream_));
    } else {
        stream_.reset();
    }
    Fetcher::Origin& origin = *std::exchange(origin_, nullptr);
    if (origin.waiting.empty()) {
        --origin.running;
        return;
    }
    Fetch& next = *origin.waiting.front();
    origin.waiting.pop_front();
    next.has_turn_ = true;
    fetcher_.loop_.post(std::exchange(next.waiter_, nullptr));
}

// ---- the head

loop::Task<Result<AnswerHead>> Fetch::head() {
    std::optional<Error> error;
    if (cancelled_) error = given_up();
    if (!url_)
        error = Error{ErrorKind::misconfigured,
                      fmt::format("\"{}\" is no URL that can be asked for", request_.url)};
    if (!error) {
        Fetcher::Origin& origin = fetcher_.origin_of(*url_);
        if (origin.running < fetcher_.connections_per_host_) {
            ++origin.running;
            origin_ = &origin;
        } else {
            error = co_await wait_for_turn();
        }
    }
    bool fresh = request_.fresh_connection;
    while (!error) {
        if (!fresh) stream_ = fetcher_.take_idle(*origin_);
        const bool was_kept = stream_ != nullptr;
        if (!was_kept) error = co_await connect();
        if (!error) error = co_await exchange();
        if (!error) break;
        // The origin may have ended a kept connection just now, without having seen the request.
        const bool is_stale = was_kept && !answer_begun_ && error->kind == ErrorKind::io;
        if (!is_stale) break;
        stream_.reset();
        error.reset();
        fresh = true;
    }
    if (error) {
        end(error);
        co_return std::unexpected(std::move(*error));
    }
    if (!ended_ && framing_ == AnswerHead::Framing::none) end(std::nullopt);
    co_return std::move(head_);
}

loop::Task<std::optional<Error>> Fetch::wait_for_turn() {
    Fetcher::Origin& origin = fetcher_.origin_of(*url_);
    origin.waiting.push_back(this);
    set_deadline(request_.connect_timeout + request_.first_byte_timeout);
    while (!has_turn_ && !cancelled_ && !overdue_)
        co_await News{*this};
    deadline_.clear();
    if (has_turn_) {
        origin_ = &origin;
        co_return cancelled_ ? std::optional(given_up()) : std::nullopt;
    }
    std::erase(origin.waiting, this);
    if (cancelled_) co_return given_up();
    co_return Error{ErrorKind::busy, "no connection of origin.connections became free"};
}

loop::Task<std::optional<Error>> Fetch::connect() {
    constexpr const char* kLate = "no connection within origin.connect_timeout";
    set_deadline(request_.connect_timeout);
    const std::uint64_t until_ms =
        fetcher_.loop_.now_ms() + static_cast<std::uint64_t>(request_.connect_timeout.count());
    std::optional<Error> error = co_await find_addresses();
    if (error) co_return error;
    fetcher_.make_room(*origin_);
    {
        loop::Connector connector(fetcher_.loop_, origin_->addresses, &told, this);
        while (!connector.is_done()) {
            error = interrupted(kLate);
            if (error) co_return error;
            co_await News{*this};
        }
        const auto fd = connector.take();
        if (!fd) {
            origin_->addresses_until_ms = 0;  // it may have moved
            co_return fd.error();
        }
        stream_ = std::make_unique<loop::Stream>(fetcher_.loop_, *fd);
    }
    deadline_.clear();
    if (cancelled_) co_return given_up();
    if (!origin_->is_secure) co_return std::nullopt;
    stream_->set_deadline(until_ms);
    error = co_await stream_->secure(fetcher_.tls_, origin_->host, origin_->session);
    co_return error;
}

// Those that are known, as long as they are new, or there are no others.
loop::Task<std::optional<Error>> Fetch::find_addresses() {
    Fetcher::Origin& origin = *origin_;
    if (fetcher_.loop_.now_ms() < origin.addresses_until_ms) co_return std::nullopt;
    const loop::Lookup lookup(fetcher_.loop_, origin.host, origin.port, &told, this);
    while (!lookup.is_done()) {
        if (auto error = interrupted("the origin's name was not found in time")) co_return error;
        co_await News{*this};
    }
    if (lookup.answer()) {
        origin.addresses = *lookup.answer();
        origin.addresses_until_ms = fetcher_.loop_.now_ms() + Fetcher::kAddressesMs;
    } else if (origin.addresses.empty()) {
        co_return lookup.answer().error();
    }
    co_return std::nullopt;
}

std::string Fetch::request_text() const {
    constexpr std::size_t kRest = 32;  // all that is not one of these
    std::string text;
    text.reserve(kRest + url_->target.size() + url_->authority.size() + request_.fields.size());
    text.append("GET ").append(url_->target).append(" HTTP/1.1\r\nHost: ");
    text.append(url_->authority).append("\r\n").append(request_.fields).append("\r\n");
    return text;
}

// Sends the request, and takes what comes until the head is whole.
loop::Task<std::optional<Error>> Fetch::exchange() {
    constexpr const char* kLate = "no answer within origin.first_byte_timeout";
    answer_begun_ = false;
    unparsed_.clear();
    head_bytes_ = 0;
    const auto timeout = static_cast<std::uint64_t>(request_.first_byte_timeout.count());
    stream_->set_deadline(fetcher_.loop_.now_ms() + timeout);
    {
        const std::string text = request_text();
        std::string_view unsent = text;
        while (!unsent.empty()) {
            std::size_t sent = 0;
            const Step step = stream_->write(unsent, sent);
            if (step == Step::done) {
                unsent.remove_prefix(sent);
            } else if (step == Step::must_wait) {
                const Wake wake = co_await stream_->wait();
                if (wake != Wake::ready) co_return error_of(wake, kLate);
            } else {
                co_return stream_->error();
            }
        }
    }
    while (true) {
        std::size_t got = 0;
        const Step step = stream_->read(fetcher_.scratch_, got);
        if (step == Step::done) {
            answer_begun_ = true;
            const auto is_whole = take_head({fetcher_.scratch_.data(), got});
            if (!is_whole) co_return is_whole.error();
            if (*is_whole) co_return std::nullopt;
        } else if (step == Step::must_wait) {
            const Wake wake = co_await stream_->wait();
            if (wake != Wake::ready) co_return error_of(wake, kLate);
        } else if (step == Step::ended) {
            co_return Error{ErrorKind::io, "the answer ended before its head did"};
        } else {
            co_return stream_->error();
        }
    }
}

// True: the head is whole, and what came behind it is in body_.
Result<bool> Fetch::take_head(std::string_view bytes) {
    std::size_t searched = unparsed_.size() - std::min<std::size_t>(unparsed_.size(), 3);
    if (!unparsed_.empty()) {
        unparsed_ += bytes;
        bytes = unparsed_;
    }
    while (true) {
        if (!AnswerHead::may_begin(bytes)) return fail(ErrorKind::io, "the answer is not HTTP");
        const std::size_t blank = bytes.find("\r\n\r\n", std::exchange(searched, 0));
        const std::size_t end = blank == bytes.npos ? bytes.size() : blank + 4;
        if (head_bytes_ + end > kHeadBytes)
            return fail(ErrorKind::io, "the answer's head is too large");
        if (blank == bytes.npos) {
            unparsed_ = std::string(bytes);
            return false;
        }
        auto head = AnswerHead::parse(bytes.substr(0, end));
        if (!head) return std::unexpected(std::move(head.error()));
        head_bytes_ += end;
        bytes.remove_prefix(end);
        if (head->status() == kSwitchingProtocols)
            return fail(ErrorKind::io, "the origin speaks another protocol than was asked for");
        if (head->status() < 200) continue;
        head_ = std::move(*head);
        begin_body(bytes);
        unparsed_.clear();
        return true;
    }
}

// ---- the body

// `bytes` came behind the head.
void Fetch::begin_body(std::string_view bytes) {
    framing_ = head_.framing();
    keeps_alive_ = head_.keeps_alive();
    if (framing_ == AnswerHead::Framing::none) {
        keeps_alive_ = keeps_alive_ && bytes.empty();
    } else if (framing_ == AnswerHead::Framing::length) {
        left_ = head_.content_length();
        is_one_piece_ = left_ <= piece_bytes_;
        keeps_alive_ = keeps_alive_ && bytes.size() <= left_;
        body_.reserve(std::min<std::uint64_t>(left_, piece_bytes_) + 1);
        body_ = bytes.substr(0, std::min<std::uint64_t>(left_, bytes.size()));
        left_ -= body_.size();
        if (left_ == 0) end(std::nullopt);
    } else if (framing_ == AnswerHead::Framing::chunked) {
        chunks_.emplace(BodyFraming{.chunked = true}, &body_);
        feed_chunks(bytes);
    } else {
        body_ = bytes;
    }
}

loop::Task<Result<std::string>> Fetch::read() {
    const auto stall = static_cast<std::uint64_t>(request_.stall_timeout.count());
    if (!ended_) stream_->set_deadline(fetcher_.loop_.now_ms() + stall);
    while (!ended_ && body_.size() < piece_bytes_) {
        const Step step = take_body();
        if (step == Step::done) {
            if (!ended_) stream_->set_deadline(fetcher_.loop_.now_ms() + stall);
        } else if (step == Step::must_wait) {
            if (!body_.empty() && !is_one_piece_) break;
            const Wake wake = co_await stream_->wait();
            if (wake != Wake::ready) end(error_of(wake, "the body stalled"));
        } else if (step == Step::failed) {
            end(stream_->error());
        } else if (framing_ == AnswerHead::Framing::until_close) {
            end(std::nullopt);
        } else {
            end(Error{ErrorKind::io, "the body ended before its length"});
        }
    }
    if (body_.empty() && error_) co_return std::unexpected(*error_);
    // What waits for a slow reader should not hold the room of a large piece.
    if (body_.size() < body_.capacity() / 2) body_.shrink_to_fit();
    co_return std::exchange(body_, {});
}

std::uint64_t Fetch::unread_bytes() const {
    std::uint64_t unread = stream_ && !ended_ ? stream_->unread_bytes() : 0;
    if (framing_ == AnswerHead::Framing::length) unread = std::min(unread, left_);
    return body_.size() + unread;
}

// Takes what there is into body_, at most about a piece.
Step Fetch::take_body() {
    if (framing_ == AnswerHead::Framing::length) return take_length();
    std::size_t got = 0;
    const Step step = stream_->read(fetcher_.scratch_, got);
    if (step != Step::done) return step;
    const std::string_view bytes(fetcher_.scratch_.data(), got);
    if (chunks_) {
        feed_chunks(bytes);
    } else {
        body_ += bytes;
    }
    return step;
}

// Asks for one byte more than should come: where there is none, a short read says that the socket
// has nothing more, so that it can be used again without asking.
Step Fetch::take_length() {
    if (stream_->must_wait()) return Step::must_wait;
    const std::size_t had = body_.size();
    const auto room =
        static_cast<std::size_t>(std::min<std::uint64_t>(left_ + 1, piece_bytes_ + 1 - had));
    Step step = Step::failed;
    body_.resize_and_overwrite(had + room, [&](char* text, std::size_t) {
        std::size_t got = 0;
        step = stream_->read({text + had, room}, got);
        return had + (step == Step::done ? got : 0);
    });
    if (step != Step::done) return step;
    const std::size_t got = body_.size() - had;
    if (got > left_) {
        keeps_alive_ = false;  // what comes beyond the length belongs to nobody
        body_.resize(had + left_);
    }
    left_ -= std::min<std::uint64_t>(left_, got);
    if (left_ == 0) end(std::nullopt);
    return step;
}

void Fetch::feed_chunks(std::string_view bytes) {
    switch (chunks_->feed(bytes)) {
        case BodyReader::Outcome::incomplete:
            return;
        case BodyReader::Outcome::malformed:
            end(Error{ErrorKind::io, "the body's chunks are malformed"});
            return;
        case BodyReader::Outcome::complete:
            keeps_alive_ = keeps_alive_ && chunks_->left_over() == 0;
            end(std::nullopt);
            return;
    }
}

}  // namespace tidepool::http
