// One fetch from a bucket, however many wait for it: the bytes arrive once, on one loop, and are
// read by answers on any.
#pragma once

#include "conf/digest.h"
#include "conf/error.h"
#include "proxy/http/response.h"
#include "proxy/loop/fetch.h"
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
    std::optional<conf::Sha256Digest> sha256;  // of the content, where it was the whole object
    std::shared_ptr<const std::string> body;   // that, where it is in memory in one piece
};

// Bytes [offset, offset + length) of an object.
struct Stretch {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t end() const { return offset + length; }
};

// Where the bytes are kept depends on the shelf. With it they go into a file as they come, which
// the answers read; the fetch does not wait for slow readers, and goes on when all have left.
// Without, or where the disk is full, they stay in memory until the readers have them: at most
// origin.buffer, then the origin is made to wait for the slowest reader; but where another reader
// has used up what there is, the slowest is left behind, to fetch the rest on its own. What nobody
// waits for any more, and is not for the shelf, is given up.
//
// No reader gets the last bytes before they are known to be the last and, of a whole object, the
// content has the digest that the catalog says (invariant 3). An object that fits origin.buffer is
// known as a whole before its first byte goes out, so that a wrong one costs a try and no answer.
//
// Owned by those who read it and by its own task.
class Fill : public std::enable_shared_from_this<Fill> {
  public:
    // What a fetch works with; all of it outlives the fill.
    struct Means {
        loop::Loop& loop;
        loop::Fetcher& fetcher;  // of this loop
        const conf::OriginSettings& settings;
        storage::Shelf* shelf = nullptr;  // null = none
        loop::WorkerPool* shelf_workers = nullptr;
        std::string cdn_loop{};  // of the request that it began for
    };
    // Told once, on the fill's loop, when it has ended.
    using Ended = std::move_only_function<void(FillEnd end)>;

    // What is known of the version that a fill brings. Shared with the fills that go on from where
    // a reader was left behind; any thread.
    struct Proof {
        std::mutex mutex;
        std::string version;  // all that the origin names it by; "" = nothing came yet
        std::string etag;     // the same, without quotes
        bool good = false;    // it came to its end, and was what it should be
        bool spoilt = false;  // it was not
    };

    // `slice` names it on the shelf; nothing: it is the whole object, or goes to no shelf. `first`:
    // of the fill that its reader had the bytes before from, or null.
    Fill(Means means, std::shared_ptr<const RemoteObject> object, Stretch stretch,
         std::optional<std::uint64_t> slice, Ended ended, std::shared_ptr<Proof> first = nullptr);

    // Begins, on the loop of its means. Once, after its first reader has joined.
    void launch();

    // A reader that begins at `offset`, for an answer on `loop`; null where it is too late to join.
    // Any thread.
    std::shared_ptr<FillReader> join(loop::Loop& loop, std::uint64_t offset);

    // Ends it as soon as it can be, failed. Any thread.
    void give_up();

    const RemoteObject& object() const { return *object_; }
    std::shared_ptr<Proof> proof() const { return proof_; }

  private:
    friend class FillReader;
    class Room;
    using Failure = std::optional<storage::StoreFailure>;

    static loop::Task<> keep_alive(std::shared_ptr<Fill> self);
    loop::Task<> run();
    loop::Task<> pause(std::chrono::milliseconds wait);
    loop::Task<Failure> attempt();
    loop::Task<Failure> obtain_grant();
    loop::Task<Failure> exchange(loop::Fetch& fetch);
    loop::Task<Failure> read_refusal(loop::Fetch& fetch, const loop::FetchedHead& head);
    loop::Task<Failure> read_body(loop::Fetch& fetch);
    Failure judge_head(const loop::FetchedHead& head);
    Failure judge_version(const loop::FetchedHead& head);
    static bool is_version_of(Proof& proof, const std::string& version);
    Failure judge_end();
    std::string condition() const;
    Failure corrupt(std::string text);
    storage::StoreFailure broken(const Error& error, bool in_body) const;
    storage::StoreCall call() const;

    void begin_digests();
    loop::Task<> begin_spool();
    loop::Task<> discard_spool();
    loop::Task<> start_anew();
    loop::Task<> keep(std::string bytes);
    loop::Task<> finish(std::optional<Error> error);
    void publish();
    bool make_room();
    bool must_wait_for_room() const;
    bool is_spooling();
    void end_waits();
    bool is_given_up();
    bool has_published();
    std::uint64_t buffer_bytes() const;

    Means means_;
    const std::shared_ptr<const RemoteObject> object_;
    const Stretch stretch_;
    const std::optional<std::uint64_t> slice_;
    Ended ended_;
    const std::shared_ptr<Proof> first_;
    const std::shared_ptr<Proof> proof_ = std::make_shared<Proof>();

    // Of the fill's loop.
    loop::Fetch* fetch_ = nullptr;        // that runs
    loop::Loop::Delay* pause_ = nullptr;  // before the next try
    DownloadAuthorization::Wait* grant_wait_ = nullptr;
    DownloadAuthorization::Grant grant_;          // null where the bucket needs none
    DownloadAuthorization::Grant refused_grant_;  // that did not open it the last time
    std::unique_ptr<storage::Shelf::Filling> spool_;
    std::optional<conf::Sha256> hash_;
    std::optional<conf::Md5> md5_;  // where only the store's ETag says what the content should be
    bool etag_is_md5_ = false;      // as far as the origin tells
    bool fresh_connection_ = false;
    std::uint64_t received_ = 0;  // bytes, from the stretch's start
    std::uint64_t last_piece_ = 0;
    std::optional<conf::Sha256Digest> sha256_;  // once it is proved

    std::mutex mutex_;
    bool given_up_ = false;  // set on the fill's loop; nobody joins it any more
    bool ended_already_ = false;
    bool spooling_ = false;
    std::optional<Error> error_;
    std::uint64_t available_ = 0;                            // bytes that readers may have
    std::uint64_t spooled_ = 0;                              // of these, in the file
    std::shared_ptr<const storage::OpenFile> file_;          // what was spooled
    std::deque<std::shared_ptr<const std::string>> window_;  // what follows
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

// One answer's way through a fill. Offsets are the object's. Loop thread of the answer.
class FillReader final : public http::Incoming {
  public:
    FillReader(loop::Loop& loop, std::shared_ptr<Fill> fill, std::uint64_t position)
        : loop_(loop), fill_(std::move(fill)), position_(position) {}
    ~FillReader() override;

    View look(std::uint64_t offset) override;
    loop::Task<bool> more(std::uint64_t offset) override;

    // As more(), and says why not. ErrorKind::overloaded with nothing in `store` where it was left
    // behind, which the caller can mend by a fetch from `offset` on.
    loop::Task<std::optional<Error>> wait(std::uint64_t offset);

    std::shared_ptr<Fill::Proof> proof() const { return fill_->proof(); }

  private:
    friend class tidepool::serve::Fill;
    class Arrival;

    loop::Loop& loop_;
    std::shared_ptr<Fill> fill_;
    std::uint64_t position_;                   // from the stretch's start; under the fill's mutex
    bool starved_ = false;                     // it has all that there is; the same
    std::shared_ptr<const std::string> held_;  // what the last view shows
};

}  // namespace tidepool::serve
