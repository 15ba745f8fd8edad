// One fetch from a bucket, however many wait for it: the bytes arrive once, on one loop, and are
// read by answers on any.
#pragma once

#include "conf/digest.h"
#include "conf/error.h"
#include "proxy/http/fetch.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/serve/remote_pool.h"
#include "storage/s3_errors.h"
#include "storage/shelf.h"

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace tidepool::serve {

class FillReader;

// How a fill ended.
struct FillEnd {
    std::optional<Error> error;                // nothing: all of it came, and is good
    std::optional<conf::Sha256Digest> sha256;  // of the whole object, where that was proved
    std::shared_ptr<const std::string> body;   // that, where it is in memory in one piece
};

// Bytes [offset, offset + length) of an object.
struct Stretch {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t end() const { return offset + length; }
};

// The running digests of an object's bytes from its first one on.
struct RunningDigests {
    conf::Sha256 sha256;
    std::optional<conf::Md5> md5;  // where only the store's ETag says what the content should be

    void update(std::string_view bytes) {
        sha256.update(bytes);
        if (md5) md5->update(bytes);
    }
};

// Where the bytes are kept depends on the shelf. With it they go into a file as they come, which
// the answers read; the fetch does not wait for slow readers. When all have left it goes on where
// it is of a slice, or most has come or little is missing, so that neither a small range nor a
// visitor's impatience is a loss; else it is given up, as each byte is paid for, and who asks and
// leaves would have others pay for all of it. Without, or where the disk is full, they stay in
// memory until the readers have them: at most origin.buffer, then the origin is made to wait for
// the slowest reader; but where another reader has used up what there is, the slowest is left
// behind, to fetch the rest on its own. What nobody waits for any more, and is not for the shelf,
// is given up.
//
// No reader gets the last bytes before they are known to be the last and, of a whole object, the
// content has the digest that the catalog says (invariant 3). An object that fits origin.buffer is
// known as a whole before its first byte goes out, so that a wrong one costs a try and no answer.
// A reader that was left behind takes the digests of what it had along, so that the fetch of the
// rest proves the whole; how the one that it left ends is nothing to it.
//
// Owned by those who read it and by its own task.
class Fill : public std::enable_shared_from_this<Fill> {
  public:
    // What a fetch works with; all of it outlives the fill.
    struct Means {
        loop::Loop& loop;
        http::Fetcher& fetcher;  // of this loop
        const conf::OriginSettings& settings;
        storage::Shelf* shelf = nullptr;  // null = none
        loop::WorkerPool* shelf_workers = nullptr;
        std::string cdn_loop{};  // of the request that it began for
    };
    // Told once, on the fill's loop, when it has ended.
    using Ended = std::move_only_function<void(FillEnd end)>;

    // The version that a fill brings, as its origin names it.
    struct Version {
        std::string name;  // all that it says of it
        std::string etag;  // a part of that, without quotes
    };
    // What a reader had before it was left behind.
    struct Beginning {
        Version version;
        // Of all the object's bytes up to there; nothing where it had a part of the object.
        std::optional<RunningDigests> digests;
    };

    // `slice` names it on the shelf; nothing: it is the whole object, or goes to no shelf. With a
    // `beginning` it goes on from there to where that was to end, with the same version.
    Fill(Means means, std::shared_ptr<const RemoteObject> object, Stretch stretch,
         std::optional<std::uint64_t> slice, Ended ended,
         std::shared_ptr<const Beginning> beginning = nullptr);

    // Begins, on the loop of its means. Once, after its first reader has joined.
    void launch();

    // A reader that begins at `offset`, for an answer on `loop`; null where it is too late to join.
    // Any thread.
    std::shared_ptr<FillReader> join(loop::Loop& loop, std::uint64_t offset);

    // Ends it as soon as it can be, failed. Any thread.
    void give_up();

    const RemoteObject& object() const { return *object_; }

  private:
    friend class FillReader;
    class Room;
    // Of what came, in memory.
    struct Piece {
        std::uint64_t start = 0;  // from the stretch's
        std::string bytes{};
        std::optional<RunningDigests> before{};  // of the object's bytes up to it
        std::uint64_t end() const { return start + bytes.size(); }
    };
    using Failure = std::optional<storage::StoreFailure>;

    static loop::Task<> keep_alive(std::shared_ptr<Fill> self);
    loop::Task<> run();
    loop::Task<> pause(std::chrono::milliseconds wait);
    loop::Task<Failure> attempt();
    loop::Task<Failure> obtain_grant(DownloadAuthorization& authorization);
    loop::Task<Failure> exchange(http::Fetch& fetch);
    loop::Task<Failure> read_refusal(http::Fetch& fetch, const http::AnswerHead& head);
    loop::Task<Failure> read_body(http::Fetch& fetch);
    void count_bytes(std::uint64_t bytes);
    Failure judge_head(const http::AnswerHead& head);
    Failure judge_version(const http::AnswerHead& head);
    Failure judge_end();
    bool is_judged_as_one() const;
    conf::FingerprintDigest fingerprint() const;
    bool is_known_again(const RemoteObject::Proved& proved) const;
    std::string condition() const;
    Failure corrupt(std::string text);
    storage::StoreFailure broken(const Error& error, bool in_body) const;
    storage::StoreCall call() const;

    void begin_digests();
    loop::Task<> begin_spool();
    loop::Task<> discard_spool();
    loop::Task<> start_anew();
    loop::Task<> keep(std::string bytes);
    loop::Task<> spool(std::string_view bytes);
    void put_into_window(std::string bytes);
    std::shared_ptr<Piece> begin_piece() const;
    loop::Task<> finish(std::optional<Error> error);
    void publish();
    bool make_room();
    bool must_wait_for_room() const;
    bool is_spooling();
    void end_waits();
    bool is_given_up();
    bool is_nearly_done() const;
    bool has_published();
    std::uint64_t buffer_bytes() const;

    Means means_;
    const std::shared_ptr<const RemoteObject> object_;
    const Stretch stretch_;
    const std::optional<std::uint64_t> slice_;
    Ended ended_;
    const std::shared_ptr<const Beginning> beginning_;

    // Of the fill's loop.
    http::Fetch* fetch_ = nullptr;        // that runs
    loop::Loop::Delay* pause_ = nullptr;  // before the next try
    DownloadAuthorization::Wait* grant_wait_ = nullptr;
    DownloadAuthorization::Grant grant_;          // null where the bucket needs none
    DownloadAuthorization::Grant refused_grant_;  // that did not open it the last time
    std::unique_ptr<storage::Shelf::Filling> spool_;
    std::optional<RunningDigests> digests_;  // up to received_, where it is from the object's start
    bool etag_is_md5_ = false;               // as far as the origin tells
    bool fresh_connection_ = false;
    std::uint64_t received_ = 0;  // bytes, from the stretch's start
    std::uint64_t last_piece_ = 0;
    std::optional<conf::Sha256Digest> came_;    // of all that came, where it began with the object
    std::optional<conf::Sha256Digest> sha256_;  // the same, once it is proved

    std::mutex mutex_;
    bool given_up_ = false;  // set on the fill's loop; nobody joins it any more
    bool ended_already_ = false;
    bool spooling_ = false;
    std::optional<Error> error_;
    Version version_;                                // of what came; changed on the fill's loop
    std::uint64_t available_ = 0;                    // bytes that readers may have
    std::uint64_t spooled_ = 0;                      // of these, in the file
    std::shared_ptr<const storage::OpenFile> file_;  // what was spooled
    std::shared_ptr<const Piece> file_end_;          // where no more could be; no bytes
    std::deque<std::shared_ptr<Piece>> window_;      // what follows
    std::uint64_t window_start_ = 0;
    std::uint64_t window_bytes_ = 0;
    std::vector<FillReader*> readers_;
    std::coroutine_handle<> room_waiter_;
    struct Waiter {
        loop::Loop* loop;
        std::coroutine_handle<> handle;
        std::uint64_t beyond;  // needs a byte at this place
    };
    std::vector<Waiter> waiters_;
};

}  // namespace tidepool::serve
