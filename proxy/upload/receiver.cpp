#include "proxy/upload/receiver.h"

#include "conf/descriptor.h"
#include "conf/digest.h"
#include "proxy/upload/accepted_type.h"
#include "proxy/upload/bearer.h"
#include "proxy/upload/form_stream.h"
#include "proxy/upload/new_image.h"
#include "proxy/upload/rates.h"
#include "proxy/upload/upload_answers.h"
#include "proxy/upload/upload_token.h"
#include "transform/content_type.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tidepool::upload {

namespace {

using api::api_error;
using api::ApiAnswer;

// What is collected before it is hashed and written: the memory of an upload.
constexpr std::size_t kChunkBytes = 256ULL * 1024;

}  // namespace

// One request, on its loop.
class Receiver::Upload {
  public:
    Upload(Receiver& receiver, loop::Loop& loop, std::string client)
        : receiver_(receiver),
          loop_(loop),
          client_(std::move(client)),
          writers_(&receiver.intake_.workers()) {}

    loop::Task<ApiAnswer> run(const http::RequestHead& head, http::BodyStream& body) {
        ApiAnswer answer = co_await take_form(head, body);
        if (image_) co_await image_->drop();
        co_return answer;
    }

  private:
    loop::Task<ApiAnswer> take_form(const http::RequestHead& head, http::BodyStream& body) {
        if (!head.chunked) longest_ = head.content_length;
        auto form = FormStream::of(head, body);
        if (!form)
            co_return api_error(400, "bad_request", "expected multipart/form-data with a boundary");
        if (const std::string_view bearer = bearer_of(head); !bearer.empty()) {
            if (auto problem = read_token(bearer)) co_return std::move(*problem);
        }
        while (true) {
            auto item = co_await form->next();
            if (!item) co_return std::move(item.error());
            Problem problem;
            switch (item->kind) {
                case FormStream::Kind::field:
                    if (form->head().name == "token" && !token_)
                        problem = read_token(item->content);
                    break;
                case FormStream::Kind::file:
                    problem = co_await begin_file(form->head());
                    break;
                case FormStream::Kind::content:
                    problem = co_await take(item->content);
                    break;
                case FormStream::Kind::end:
                    co_return co_await finish();
            }
            if (problem) co_return std::move(*problem);
        }
    }

    Problem read_token(std::string_view text) {
        const std::array secrets{settings().token_secret, settings().token_secret_previous};
        auto token = verify(text, secrets, std::time(nullptr));
        if (!token) return api_error(401, "unauthorized", token.error().text);
        token_ = std::move(*token);
        token_digest_ = conf::sha256(text);
        return std::nullopt;
    }

    loop::Task<Problem> begin_file(const PartHead& part) {
        if (part.name != "file")
            co_return api_error(400, "bad_request", "a file stands in a field other than \"file\"");
        if (accepted_ != nullptr) co_return api_error(400, "bad_request", "there are two files");
        if (!token_ && settings().parallel_tokenless == 0) co_return token_wanted();
        if (token_) {
            if (auto problem = refuse_owner()) co_return problem;
        }
        const Rate of_address{"uploads", settings().rate_per_address, loop_.now_ms()};
        if (auto problem = refuse_address(receiver_.limiter_, of_address, client_))
            co_return problem;
        if (auto problem = take_place()) co_return problem;
        accepted_ = accepted_type(*part.file_name);
        if (accepted_ == nullptr) co_return unsupported_name();
        file_name_ = *part.file_name;
        chunk_.reserve(kChunkBytes);
        if (token_) co_return co_await begin_image();
        most_bytes_ = settings().max_size_bytes;
        auto problem = co_await loop::offload(loop_, *writers_, loop::Lane::bulk,
                                              [this] { return begin_waiting(); });
        if (!problem) co_return failure_of(problem.error(), "");
        co_return std::move(*problem);
    }

    // Blocks, as the next one does.
    Result<Problem> begin_waiting() {
        if (auto problem = hold_spool(); !problem || *problem) return problem;
        auto created = receiver_.intake_.spool().create();
        if (!created) return std::unexpected(std::move(created.error()));
        waiting_ = std::move(*created);
        return Problem();
    }

    // Room in the spool, once.
    Result<Problem> hold_spool() {
        if (spooled_) return Problem();
        Intake& intake = receiver_.intake_;
        auto kept =
            intake.spool_room().hold(*intake.means().catalog, std::min(most_bytes_, longest_));
        if (!kept) return std::unexpected(std::move(kept.error()));
        if (!*kept) return Problem(spool_full(kept->error()));
        spooled_.emplace(std::move(**kept));
        return Problem();
    }

    // Where the pool is a bucket the file stands in the spool until that has it.
    Result<Problem> open_image() {
        const auto pool = receiver_.intake_.means().drivers->find(token_->pool);
        const bool is_bucket = pool && pool->is_bucket();
        if (is_bucket) {
            if (auto problem = hold_spool(); !problem || *problem) return problem;
        }
        return image_->open();
    }

    Problem refuse_owner() {
        return refuse_holder(receiver_.limiter_,
                             {"uploads", settings().rate_per_key, loop_.now_ms()}, token_->user);
    }

    // Who has no token takes only of the places that are kept for those.
    Problem take_place() {
        Intake& intake = receiver_.intake_;
        auto running = intake.begin();
        if (!running) return try_again("too many uploads run");
        running_.emplace(std::move(*running));
        if (token_) return take_place_of_owner();
        auto tokenless = intake.begin_tokenless(client_);
        if (tokenless) {
            tokenless_.emplace(std::move(*tokenless));
            return std::nullopt;
        }
        if (tokenless.error() == SharedPlaces::Full::of_all)
            return try_again("too many uploads run whose token has not come yet");
        return api_error(429, "too_many_requests",
                         "too many uploads from this address whose token has not come yet",
                         "Retry-After: 2\r\n");
    }

    Problem take_place_of_owner() {
        auto owned = receiver_.intake_.begin_of(token_->user);
        if (!owned) return too_many_of_owner();
        owned_.emplace(std::move(*owned));
        return std::nullopt;
    }

    loop::Task<Problem> begin_image() {
        most_bytes_ = std::min(token_->max_bytes, settings().max_size_bytes);
        if (size_ > most_bytes_) co_return too_large(most_bytes_);
        writers_ = &receiver_.intake_.workers_of(token_->pool);
        image_.emplace(receiver_.intake_, loop_,
                       FileOffer{.owner = token_->user,
                                 .pool = token_->pool,
                                 .most_bytes = most_bytes_,
                                 .accepted = accepted_,
                                 .file_name = file_name_,
                                 .token = token_digest_,
                                 .session_until_s = token_->expires_s});
        auto begun = co_await loop::offload(loop_, *writers_, loop::Lane::bulk,
                                            [this] { return open_image(); });
        if (!begun) co_return failure_of(begun.error(), image_->key());
        co_return std::move(*begun);
    }

    // The file has come before its token: now it goes where that says.
    loop::Task<Problem> begin_waiting_image() {
        if (!token_) co_return token_wanted();
        if (auto problem = refuse_owner()) co_return problem;
        if (auto problem = take_place_of_owner()) co_return problem;
        if (auto problem = co_await begin_image()) co_return problem;
        tokenless_.reset();
        std::uint64_t done = 0;
        while (done < size_) {
            const auto copied =
                co_await loop::offload(loop_, *writers_, loop::Lane::bulk, [&]() -> Result<void> {
                    chunk_.resize(std::min<std::uint64_t>(kChunkBytes, size_ - done));
                    if (const int failed = conf::read_all(waiting_.get(), chunk_, done);
                        failed != 0)
                        return fail_errno(failed, "read the spooled upload");
                    return image_->write(chunk_);
                });
            if (!copied) co_return failure_of(copied.error(), image_->key());
            done += chunk_.size();
        }
        waiting_ = {};
        co_return std::nullopt;
    }

    loop::Task<Problem> take(std::string_view content) {
        size_ += content.size();
        if (size_ > most_bytes_) co_return too_large(most_bytes_);
        while (!content.empty()) {
            const std::string_view piece = content.substr(0, kChunkBytes - chunk_.size());
            chunk_.insert(chunk_.end(), piece.begin(), piece.end());
            content.remove_prefix(piece.size());
            // What it is shows before more of it is taken.
            if (!is_looked_at_ && size_ >= transform::kSniffBytes) {
                if (auto problem = look_at_beginning()) co_return problem;
            }
            if (chunk_.size() < kChunkBytes) continue;
            if (auto problem = co_await write_chunk()) co_return problem;
        }
        co_return std::nullopt;
    }

    Problem look_at_beginning() {
        is_looked_at_ = true;
        const std::size_t bytes = std::min(chunk_.size(), transform::kSniffBytes);
        return NewImage::look_at_beginning(std::span(chunk_).first(bytes), *accepted_);
    }

    loop::Task<Problem> write_chunk() {
        const auto written =
            co_await loop::offload(loop_, *writers_, loop::Lane::bulk, [this]() -> Result<void> {
                if (image_) return image_->write(chunk_);
                const int failed = conf::write_all(waiting_.get(), chunk_);
                if (failed != 0) return fail_errno(failed, "write the upload");
                return {};
            });
        chunk_.clear();
        if (!written) co_return failure_of(written.error(), image_ ? image_->key() : "");
        co_return std::nullopt;
    }

    loop::Task<ApiAnswer> finish() {
        if (accepted_ == nullptr) co_return api_error(400, "bad_request", "the form has no file");
        if (size_ == 0) co_return api_error(400, "bad_request", "the file is empty");
        if (!is_looked_at_) {
            if (auto problem = look_at_beginning()) co_return std::move(*problem);
        }
        if (auto problem = co_await write_chunk()) co_return std::move(*problem);
        if (!image_) {
            if (auto problem = co_await begin_waiting_image()) co_return std::move(*problem);
        }
        co_return co_await image_->finish();
    }

    const conf::UploadSettings& settings() const {
        return receiver_.intake_.means().settings.upload;
    }

    static ApiAnswer token_wanted() {
        return api_error(
            401, "unauthorized",
            "send a token: Authorization: Bearer, or the field \"token\", which is best "
            "put before the file");
    }

    Receiver& receiver_;
    loop::Loop& loop_;
    const std::string client_;
    loop::WorkerPool*
        writers_;  // the spool's until it is known where the file goes, then its pool's
    std::optional<UploadToken> token_;
    std::optional<conf::Sha256Digest> token_digest_;
    const AcceptedType* accepted_ = nullptr;  // once there is a file
    std::string file_name_;
    std::uint64_t longest_ = std::numeric_limits<std::uint64_t>::max();  // that the file can be
    std::uint64_t most_bytes_ = 0;                                       // that it may have
    std::optional<Intake::Running> running_;
    std::optional<SharedPlaces::Place> owned_;
    std::optional<SharedPlaces::Place> tokenless_;
    std::optional<SpoolRoom::Held> spooled_;
    conf::Descriptor waiting_;  // a file whose token has not come yet
    std::optional<NewImage> image_;
    std::uint64_t size_ = 0;
    std::vector<char> chunk_;
    bool is_looked_at_ = false;
};

loop::Task<ApiAnswer> Receiver::receive(loop::Loop& loop, const http::RequestHead& head,
                                        std::string client, http::BodyStream& body) {
    Upload upload(*this, loop, std::move(client));
    ApiAnswer answer = co_await upload.run(head, body);
    intake_.count_end(answer.status);
    co_return answer;
}

}  // namespace tidepool::upload
