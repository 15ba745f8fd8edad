#include "proxy/serve/fill.h"

#include "conf/log.h"
#include "conf/quote.h"
#include "proxy/serve/fill_reader.h"
#include "storage/retry.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

using storage::NextTry;
using storage::Outcome;
using storage::StoreFailure;
using storage::TransportFault;

// While a client waits: short, for the edge gives up too (contracts: b2-s3.md 7).
constexpr std::chrono::milliseconds kFirstRetryWait{100};
constexpr std::chrono::milliseconds kMostRetryWait{2'000};
constexpr std::chrono::milliseconds kRetryBudget{60'000};
// What a fetch holds of a body that stays in memory: two of the pieces in which it comes.
constexpr std::uint64_t kUnshelvedBytes = 128ULL * 1024;
// Smaller ones are put together, so that what a piece costs beside its bytes stays little.
constexpr std::size_t kSmallPiece = 16UL * 1024;

// What is fetched to its end for the shelf although nobody waits for it, beside what is half done.
constexpr std::uint64_t kLittleBytes = 1024ULL * 1024;

// For a bucket that needs none.
const storage::DownloadGrant kNoGrant;

TransportFault fault_of(const Error& error, bool in_body) {
    switch (error.kind) {
        case ErrorKind::timed_out:
            return in_body ? TransportFault::stalled : TransportFault::timed_out;
        case ErrorKind::misconfigured:
            return TransportFault::tls;
        case ErrorKind::io:
            return in_body ? TransportFault::cut : TransportFault::connect;
        default:
            return TransportFault::other;
    }
}

StoreFailure given_up() {
    return {.error = {ErrorKind::closed, "nobody waits for it any more"}};
}

std::string_view without_quotes(std::string_view etag) {
    if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"'))
        return etag.substr(1, etag.size() - 2);
    return etag;
}

std::optional<std::uint64_t> read_number(std::string_view text) {
    std::uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
    return number;
}

// "bytes 0-9/100" (RFC 9110, 14.4) that says exactly this.
bool is_content_range(std::string_view text, std::uint64_t first, std::uint64_t end,
                      std::uint64_t size) {
    return text == fmt::format("bytes {}-{}/{}", first, end - 1, size);
}

}  // namespace

// Waits until the readers have taken something, or left.
class Fill::Room {
  public:
    explicit Room(Fill& fill) : fill_(fill) {}
    bool await_ready() const noexcept { return false; }
    // Under one lock with the readers: one that starved in between would wake nobody.
    bool await_suspend(std::coroutine_handle<> waiter) {
        const std::lock_guard lock(fill_.mutex_);
        if (fill_.make_room()) return false;
        fill_.room_waiter_ = waiter;
        waited_ = true;
        return true;
    }
    // Whether it had to wait, so that there may be too little room still.
    bool await_resume() const noexcept { return waited_; }

  private:
    Fill& fill_;
    bool waited_ = false;
};

Fill::Fill(Means means, std::shared_ptr<const RemoteObject> object, Stretch stretch,
           std::optional<std::uint64_t> slice, Ended ended,
           std::shared_ptr<const Beginning> beginning)
    : means_(std::move(means)),
      object_(std::move(object)),
      stretch_(stretch),
      slice_(slice),
      ended_(std::move(ended)),
      beginning_(std::move(beginning)) {}

void Fill::launch() {
    means_.loop.tasks().spawn(keep_alive(shared_from_this()));
}

loop::Task<> Fill::keep_alive(std::shared_ptr<Fill> self) {
    co_await self->run();
}

storage::StoreCall Fill::call() const {
    return {.pool = object_->pool->settings.name, .key = object_->key, .method = "GET"};
}

// ---- the fetch

loop::Task<> Fill::run() {
    storage::RetryPlan plan({.tries = means_.settings.tries,
                             .first = kFirstRetryWait,
                             .most = kMostRetryWait,
                             .budget = kRetryBudget},
                            storage::random_part, std::chrono::steady_clock::now());
    begin_digests();
    co_await begin_spool();
    while (true) {
        const Failure failure = co_await attempt();
        if (!failure) break;
        const bool is_spoilt = failure->error.kind == ErrorKind::corrupt;
        if (is_spoilt) {
            object_->pool->corrupt.fetch_add(1, std::memory_order_relaxed);
            conf::log_error("not what the catalog says {}", failure->error.text);
        }
        const auto wait = plan.next(*failure, std::chrono::steady_clock::now());
        // What readers have of a wrong content cannot be taken back.
        if (!wait || (is_spoilt && has_published())) {
            co_await finish(failure->error);
            co_return;
        }
        if (is_spoilt) co_await start_anew();
        fresh_connection_ = failure->next == NextTry::fresh_connection;
        co_await pause(*wait);
    }
    co_await finish(std::nullopt);
}

loop::Task<> Fill::pause(std::chrono::milliseconds wait) {
    if (wait.count() <= 0 || is_given_up()) co_return;
    loop::Loop::Delay delay = means_.loop.delay(static_cast<std::uint64_t>(wait.count()));
    pause_ = &delay;
    co_await delay;
    pause_ = nullptr;
}

loop::Task<Fill::Failure> Fill::attempt() {
    if (is_given_up()) co_return given_up();
    RemotePool& pool = *object_->pool;
    if (pool.authorization) {
        Failure unauthorized = co_await obtain_grant(*pool.authorization);
        if (unauthorized) co_return unauthorized;
    }
    storage::StoreGate& gate = pool.gate;
    const std::int64_t wall_s = means_.loop.wall_s();
    auto passed = gate.pass(gate.reads, call(), storage::CallClass::b,
                            std::chrono::steady_clock::now(), wall_s);
    if (!passed) co_return StoreFailure{.error = std::move(passed.error())};
    pool.fetches.fetch_add(1, std::memory_order_relaxed);
    if (received_ > 0) pool.resumed.fetch_add(1, std::memory_order_relaxed);
    http::FetchRequest request =
        fetch_of(*object_, stretch_.offset + received_, stretch_.length - received_, condition(),
                 grant_ ? *grant_ : kNoGrant, means_.settings, means_.cdn_loop, wall_s);
    request.fresh_connection = fresh_connection_;
    // On its way to a disk the body is gathered here, else in the window: not in both.
    const std::uint64_t gathered =
        is_spooling() ? buffer_bytes() : std::min(buffer_bytes(), kUnshelvedBytes);
    http::Fetch fetch(means_.fetcher, std::move(request), static_cast<std::size_t>(gathered));
    fetch_ = &fetch;
    Failure failure = co_await exchange(fetch);
    fetch_ = nullptr;
    // What of an answer that is given up has come is paid for as well.
    if (failure && failure->error.kind == ErrorKind::closed) count_bytes(fetch.unread_bytes());
    if (failure && grant_) {
        *failure = pool.authorization->judge(grant_, std::move(*failure));
        refused_grant_ = failure->next == NextTry::new_token ? grant_ : nullptr;
    }
    const bool was_asked = !failure || (failure->error.kind != ErrorKind::closed &&
                                        failure->error.kind != ErrorKind::busy);
    if (!was_asked) {
        // It was we who ended it, or had no connection: that says nothing about the store.
        gate.reads.abandon();
        co_return failure;
    }
    if (failure) pool.failures.fetch_add(1, std::memory_order_relaxed);
    gate.reads.report(failure ? failure->outcome : Outcome::answered,
                      std::chrono::steady_clock::now());
    co_return failure;
}

// Of a private bucket behind its friendly URL; nothing: it is there.
loop::Task<Fill::Failure> Fill::obtain_grant(DownloadAuthorization& authorization) {
    DownloadAuthorization::Wait wait = authorization.grant(means_.loop, refused_grant_);
    grant_wait_ = &wait;
    auto granted = co_await wait;
    grant_wait_ = nullptr;
    if (!granted) co_return StoreFailure{.error = std::move(granted.error())};
    grant_ = std::move(*granted);
    if (is_given_up()) co_return given_up();
    co_return std::nullopt;
}

loop::Task<Fill::Failure> Fill::exchange(http::Fetch& fetch) {
    const auto head = co_await fetch.head();
    if (!head) co_return broken(head.error(), false);
    if (head->status() != 200 && head->status() != 206) {
        Failure refusal = co_await read_refusal(fetch, *head);
        co_return refusal;
    }
    if (Failure wrong = judge_head(*head)) co_return wrong;
    // That the store is well again is known now, and must not wait for slow readers.
    storage::Breaker& breaker = object_->pool->gate.reads;
    if (breaker.state(std::chrono::steady_clock::now()) == storage::Breaker::State::half_open)
        breaker.report(Outcome::answered, std::chrono::steady_clock::now());
    Failure failure = co_await read_body(fetch);
    co_return failure;
}

loop::Task<Fill::Failure> Fill::read_refusal(http::Fetch& fetch, const http::AnswerHead& head) {
    std::string body;
    while (body.size() < storage::kMaxErrorBytes) {
        const auto bytes = co_await fetch.read();
        if (!bytes || bytes->empty()) break;  // the status alone says enough
        body += *bytes;
    }
    if (grant_) conf::hide(body, grant_->authorization);
    StoreFailure failure = storage::failure_of(
        call(), storage::StoreAnswer{.status = head.status(),
                                     .body = body,
                                     .request_id = head.field("x-amz-request-id"),
                                     .retry_after = head.field("retry-after")});
    if (failure.error.kind == ErrorKind::not_found)
        object_->pool->missing.fetch_add(1, std::memory_order_relaxed);
    co_return failure;
}

// What a good answer's head must say (contracts: b2-s3.md 2.1, 4.3).
Fill::Failure Fill::judge_head(const http::AnswerHead& head) {
    const Stretch wanted{stretch_.offset + received_, stretch_.length - received_};
    const bool whole = wanted.offset == 0 && wanted.length == object_->size;
    if (!whole && head.status() != 206) return corrupt("the whole object came for a part of it");
    if (head.status() == 206 &&
        !is_content_range(head.field("content-range"), wanted.offset, wanted.end(), object_->size))
        return corrupt(fmt::format("the part that came is \"{}\"", head.field("content-range")));
    const auto length = read_number(head.field("content-length"));
    if (length && *length != wanted.length)
        return corrupt(fmt::format("{} bytes came instead of {}", *length, wanted.length));

    return judge_version(head);
}

// What is fetched must be of the version that was begun with: an ETag, or "".
std::string Fill::condition() const {
    if (received_ > 0) return version_.etag;
    return beginning_ ? beginning_->version.etag : "";
}

Fill::Failure Fill::judge_version(const http::AnswerHead& head) {
    const std::string_view etag = without_quotes(head.field("etag"));
    if (!object_->store_etag.empty() && !etag.empty() && etag != object_->store_etag)
        return corrupt(
            fmt::format("its ETag is \"{}\" instead of \"{}\"", etag, object_->store_etag));
    std::string version =
        fmt::format("{} {} {}", etag, head.field("x-amz-version-id"), head.field("x-bz-file-id"));
    if (received_ > 0 && version != version_.name)
        return corrupt("its other part is of another version");
    for (const std::string_view name : {"x-amz-version-id", "x-bz-file-id"}) {
        if (!object_->is_of_version(head.field(name)))
            return corrupt(
                fmt::format("its version is \"{}\", not the one that is known", head.field(name)));
    }
    if (beginning_ && version != beginning_->version.name)
        return corrupt("what came before is of another version");
    // With a key of the customer's or of a key service the ETag is another digest.
    const std::string_view encryption = head.field("x-amz-server-side-encryption");
    etag_is_md5_ = (encryption.empty() || encryption == "AES256") &&
                   head.field("x-amz-server-side-encryption-customer-algorithm").empty();
    const std::lock_guard lock(mutex_);
    version_ = {.name = std::move(version), .etag = std::string(etag)};
    return std::nullopt;
}

loop::Task<Fill::Failure> Fill::read_body(http::Fetch& fetch) {
    while (true) {
        auto bytes = co_await fetch.read();
        if (!bytes) co_return broken(bytes.error(), true);
        if (bytes->empty()) break;
        count_bytes(bytes->size());
        if (received_ + bytes->size() > stretch_.length)
            co_return corrupt(fmt::format("more than {} bytes came", stretch_.length));
        co_await keep(std::move(*bytes));
        if (is_given_up()) co_return given_up();
    }
    if (received_ < stretch_.length)
        co_return storage::failure_of(call(), TransportFault::cut, "the body ended early");
    co_return judge_end();
}

void Fill::count_bytes(std::uint64_t bytes) {
    object_->pool->bytes.fetch_add(bytes, std::memory_order_relaxed);
    object_->pool->gate.add_egress(call().pool, bytes, means_.loop.wall_s());
}

// Everything is here: is it what it should be?
Fill::Failure Fill::judge_end() {
    if (!digests_) return std::nullopt;
    std::optional<RemoteObject::Proved> proved;
    if (is_judged_as_one()) {
        proved = {*object_->sha256, fingerprint()};
        if (is_known_again(*proved)) {
            digests_.reset();
            came_ = sha256_ = object_->sha256;
            return std::nullopt;
        }
        for (const auto& piece : window_)
            digests_->update(piece->bytes);
    }
    const conf::Sha256Digest came = digests_->sha256.finish();
    came_ = came;
    const auto md5_came = digests_->md5.transform([](conf::Md5& md5) { return md5.finish(); });
    digests_.reset();
    if (object_->sha256) {
        if (came != *object_->sha256) {
            return corrupt(fmt::format("its SHA-256 is {} instead of {}", conf::hex(came),
                                       conf::hex(*object_->sha256)));
        }
    } else {
        // Only what was proved may be remembered as what the object is. ETag: contracts, b2-s3.md
        // 4.3.
        if (!md5_came || !etag_is_md5_) return std::nullopt;
        const std::string md5 = conf::hex(*md5_came);
        if (md5 != object_->store_etag)
            return corrupt(fmt::format("its MD5 is {} instead of {}", md5, object_->store_etag));
    }
    sha256_ = came;
    if (proved) {
        const std::lock_guard lock(object_->seen->mutex);
        object_->seen->proved = proved;
    }
    return std::nullopt;
}

// All of the object is here before any of it is shown, so that it can be compared at once with what
// was proved the last time it was fetched.
bool Fill::is_judged_as_one() const {
    return object_->sha256 && !spool_ && !beginning_ && stretch_.length == object_->size &&
           stretch_.length <= buffer_bytes();
}

conf::FingerprintDigest Fill::fingerprint() const {
    conf::Fingerprint running;
    for (const auto& piece : window_)
        running.update(piece->bytes);
    return running.finish();
}

bool Fill::is_known_again(const RemoteObject::Proved& proved) const {
    const std::lock_guard lock(object_->seen->mutex);
    return object_->seen->proved == proved;
}

Fill::Failure Fill::corrupt(std::string text) {
    return StoreFailure{.error = {ErrorKind::corrupt, fmt::format("pool={} key={} reason=\"{}\"",
                                                                  call().pool, object_->key, text)},
                        .next = NextTry::fresh_connection};
}

StoreFailure Fill::broken(const Error& error, bool in_body) const {
    if (error.kind == ErrorKind::closed) return given_up();  // by Fetch::cancel()
    if (error.kind == ErrorKind::busy) return StoreFailure{.error = error};
    return storage::failure_of(call(), fault_of(error, in_body), error.text);
}

// ---- what has come

std::uint64_t Fill::buffer_bytes() const {
    return means_.settings.buffer_bytes;
}

void Fill::begin_digests() {
    digests_.reset();
    if (beginning_) {
        if (beginning_->digests) digests_.emplace(*beginning_->digests);
        return;
    }
    if (stretch_.length < object_->size) return;
    digests_.emplace();
    constexpr std::string_view kHex = "0123456789abcdef";
    const std::string& etag = object_->store_etag;
    const bool may_be_md5 = etag.size() == 32 && etag.find_first_not_of(kHex) == etag.npos;
    if (!object_->sha256 && may_be_md5) digests_->md5.emplace();
}

loop::Task<> Fill::begin_spool() {
    const bool is_whole = stretch_.length == object_->size;
    if (means_.shelf == nullptr || (!is_whole && !slice_)) co_return;
    const storage::ShelfName name(object_->pool->settings.name, object_->key, object_->version(),
                                  slice_, stretch_.length);
    auto begun = co_await loop::offload(means_.loop, *means_.shelf_workers, loop::Lane::quick,
                                        [&] { return means_.shelf->begin(name); });
    if (!begun) {
        conf::log_debug("not put on the shelf key={} reason=\"{}\"", object_->key,
                        begun.error().text);
        co_return;
    }
    spool_ = std::move(*begun);
    const std::lock_guard lock(mutex_);
    spooling_ = true;
    file_ = spool_->file();
}

// Removing a file may wait for a disk.
loop::Task<> Fill::discard_spool() {
    if (!spool_) co_return;
    const auto discarded = co_await loop::offload(means_.loop, *means_.shelf_workers,
                                                  loop::Lane::quick, [&]() -> Result<void> {
                                                      spool_.reset();
                                                      return {};
                                                  });
    if (!discarded) spool_.reset();  // the queue is full: better here than never
}

// Forgets what came, of which nobody has seen anything.
loop::Task<> Fill::start_anew() {
    const bool had_spool = spool_ != nullptr;
    {
        const std::lock_guard lock(mutex_);
        window_.clear();
        window_start_ = window_bytes_ = spooled_ = 0;
        spooling_ = false;
        file_.reset();
        file_end_.reset();
    }
    received_ = last_piece_ = 0;
    begin_digests();
    co_await discard_spool();
    if (had_spool) co_await begin_spool();
}

loop::Task<> Fill::keep(std::string bytes) {
    const std::size_t count = bytes.size();
    if (is_spooling()) co_await spool(bytes);
    if (is_spooling()) {
        if (digests_) digests_->update(bytes);
    } else {
        put_into_window(std::move(bytes));
    }
    received_ += count;
    last_piece_ = count;
    publish();
    while (co_await Room(*this)) {
    }
}

loop::Task<> Fill::spool(std::string_view bytes) {
    const auto written =
        co_await loop::offload(means_.loop, *means_.shelf_workers, loop::Lane::bulk,
                               [&] { return spool_->append(bytes); });
    if (written) {
        const std::lock_guard lock(mutex_);
        spooled_ += bytes.size();
        co_return;
    }
    conf::log_warn("not put on the shelf key={} reason=\"{}\"", object_->key, written.error().text);
    auto end = begin_piece();
    const std::lock_guard lock(mutex_);
    spooling_ = false;
    window_start_ = spooled_;
    file_end_ = std::move(end);
}

// At what has come so far, with what a reader that is left behind in it takes along. Of what is
// only shown once it is known to be good nobody ever is.
std::shared_ptr<Fill::Piece> Fill::begin_piece() const {
    auto piece = std::make_shared<Piece>();
    piece->start = received_;
    const bool is_streamed = stretch_.length > buffer_bytes();
    if (digests_ && is_streamed) piece->before.emplace(*digests_);
    return piece;
}

// A small one goes into the piece before it, in place: what readers see of that does not move.
void Fill::put_into_window(std::string bytes) {
    const std::uint64_t end = received_ + bytes.size();
    std::shared_ptr<Piece> piece;
    if (!window_.empty()) piece = window_.back();
    const bool goes_behind = piece && piece->bytes.size() + bytes.size() <=
                                          std::min(kSmallPiece, piece->bytes.capacity());
    if (!goes_behind) piece = begin_piece();
    if (digests_ && !is_judged_as_one()) digests_->update(bytes);
    const std::lock_guard lock(mutex_);
    window_bytes_ += bytes.size();
    if (goes_behind) {
        piece->bytes += bytes;
        return;
    }
    if (bytes.size() < kSmallPiece && end < stretch_.length) bytes.reserve(kSmallPiece);
    piece->bytes = std::move(bytes);
    window_.push_back(std::move(piece));
}

// Lets the readers have what they may.
void Fill::publish() {
    if (stretch_.length <= buffer_bytes()) return;  // only when it is known to be good
    const std::uint64_t ready = received_ - (received_ == stretch_.length ? last_piece_ : 0);
    std::vector<Waiter> ready_waiters;
    {
        const std::lock_guard lock(mutex_);
        available_ = std::max(available_, ready);
        const auto goes_on = [this](const Waiter& each) { return each.beyond < available_; };
        std::ranges::copy_if(waiters_, std::back_inserter(ready_waiters), goes_on);
        std::erase_if(waiters_, goes_on);
    }
    for (const Waiter& waiter : ready_waiters)
        waiter.loop->post(waiter.handle);
}

// Drops what every reader has; where one reader has all that there is, also what slower ones have
// not. False: the origin must wait. The lock is held.
bool Fill::make_room() {
    while (must_wait_for_room()) {
        std::uint64_t least = UINT64_MAX;
        bool somebody_starves = false;
        for (const FillReader* reader : readers_) {
            least = std::min(least, reader->position_);
            // One that was just woken still says so, and has not taken what it was woken for.
            somebody_starves =
                somebody_starves || (reader->starved_ && reader->position_ >= available_);
        }
        const std::shared_ptr<const Piece> first = window_.front();
        if (first->end() > least && !somebody_starves) return false;
        // By what it stood in a reader that is left behind knows the digests of what it had.
        for (FillReader* reader : readers_) {
            if (reader->position_ >= first->start && reader->position_ < first->end())
                reader->held_ = first;
        }
        window_.pop_front();
        window_start_ = first->end();
        window_bytes_ -= first->bytes.size();
    }
    return true;
}

// The lock is held.
bool Fill::must_wait_for_room() const {
    return window_bytes_ >= buffer_bytes() && received_ < stretch_.length && !given_up_ &&
           !readers_.empty();
}

bool Fill::is_spooling() {
    const std::lock_guard lock(mutex_);
    return spooling_;
}

// Decides it too where nobody waits, under the lock, so that nobody joins what is about to end. On
// the fill's loop.
bool Fill::is_given_up() {
    const std::lock_guard lock(mutex_);
    const bool goes_on = spooling_ && (slice_ || is_nearly_done());
    if (readers_.empty() && !goes_on) given_up_ = true;
    return given_up_;
}

bool Fill::is_nearly_done() const {
    const std::uint64_t missing = stretch_.length - received_;
    return missing <= kLittleBytes || missing < received_;
}

bool Fill::has_published() {
    const std::lock_guard lock(mutex_);
    return available_ > 0;
}

loop::Task<> Fill::finish(std::optional<Error> error) {
    FillEnd end{.error = error, .sha256 = sha256_, .body = {}};
    if (!error && is_spooling()) {
        const auto committed =
            co_await loop::offload(means_.loop, *means_.shelf_workers, loop::Lane::quick,
                                   [&] { return spool_->commit(came_); });
        if (!committed)
            conf::log_warn("not put on the shelf key={} reason=\"{}\"", object_->key,
                           committed.error().text);
    }
    std::vector<Waiter> waiters;
    {
        const std::lock_guard lock(mutex_);
        ended_already_ = true;
        if (error) {
            error_ = std::move(error);
        } else {
            available_ = stretch_.length;
            const bool is_whole = stretch_.length == object_->size && window_start_ == 0;
            if (file_ == nullptr && is_whole && window_.size() == 1)
                end.body = {window_.front(), &window_.front()->bytes};
        }
        waiters.swap(waiters_);
    }
    // Whoever asks from here on finds the shelf or begins anew.
    ended_(std::move(end));
    for (const Waiter& waiter : waiters)
        waiter.loop->post(waiter.handle);
    co_await discard_spool();
}

void Fill::give_up() {
    means_.loop.post([self = shared_from_this()] {
        {
            const std::lock_guard lock(self->mutex_);
            self->given_up_ = true;
        }
        self->end_waits();
    });
}

// It waits at most in one place. On the fill's loop, from the bottom of the stack.
void Fill::end_waits() {
    std::coroutine_handle<> room;
    {
        const std::lock_guard lock(mutex_);
        room = std::exchange(room_waiter_, nullptr);
    }
    if (room) {
        room.resume();
    } else if (pause_ != nullptr) {
        pause_->cut();
    } else if (grant_wait_ != nullptr) {
        grant_wait_->cut();
    } else if (fetch_ != nullptr) {
        fetch_->cancel();
    }
}

// ---- readers

std::shared_ptr<FillReader> Fill::join(loop::Loop& loop, std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t position = offset - stretch_.offset;
    const bool too_late =
        ended_already_ || given_up_ || (position >= spooled_ && position < window_start_);
    if (too_late) return nullptr;
    auto reader = std::make_shared<FillReader>(loop, shared_from_this(), position);
    readers_.push_back(reader.get());
    return reader;
}

}  // namespace tidepool::serve
