// A file on its way to becoming an image: what forms and uploads in pieces have in common.
#pragma once

#include "conf/digest.h"
#include "conf/error.h"
#include "proxy/api/api_answer.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/upload/accepted_type.h"
#include "proxy/upload/image_resource.h"
#include "proxy/upload/intake.h"
#include "storage/catalog_records.h"
#include "storage/driver.h"
#include "storage/known_pool.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tidepool::upload {

// What is known of a file before its first byte.
struct FileOffer {
    std::string owner;
    storage::PoolId pool = 0;
    std::uint64_t most_bytes = 0;
    const AcceptedType* accepted = nullptr;  // by its name
    std::string file_name;
    // Whose bytes are used that are kept free already: this reservation's, or where that is 0 the
    // session's of this token. Where there are none they are reserved.
    storage::UploadId reservation = 0;
    std::optional<conf::Sha256Digest> token{};
    // Until when that reservation is kept for another try, where this one comes to nothing; 0: it
    // goes.
    std::int64_t session_until_s = 0;
    std::string details{};  // that its session was asked for with, where that is known already
};

// Why an upload is not taken, as it is answered; nothing: go on.
using Problem = std::optional<api::ApiAnswer>;

// Belongs to one request and its loop, and outlives its tasks; calls that block are made on the
// intake's workers, one at a time. In this order: open(), write() until all is there, finish(); and
// drop() in any case.
class NewImage {
  public:
    NewImage(Intake& intake, loop::Loop& loop, FileOffer offer)
        : intake_(intake),
          loop_(loop),
          offer_(std::move(offer)),
          writers_(intake.workers_of(offer_.pool)) {}

    // Where the file will be: reserved, written down, and open. Blocks.
    Result<Problem> open();
    // The next of it, hashed and written. Blocks.
    Result<void> write(std::span<const char> bytes);
    // The file's first bytes, transform::kSniffBytes of them or all: are they what its name says?
    static Problem look_at_beginning(std::span<const char> bytes, const AcceptedType& accepted);
    // All of it has come, and looked like its name says: 200 once bytes and rows are durable
    // (invariant 1), with the image as the API shows it; or why it is none.
    loop::Task<api::ApiAnswer> finish();
    // Nothing is left of what has not become an image.
    loop::Task<> drop();

    // Of an answer of 200: the new image, or the one that its owner had of this content.
    const storage::Uuid& image() const { return image_; }
    // The key that it will have; "" before open().
    const std::string& key() const { return key_; }

  private:
    Result<Problem> reserve(storage::UploadRecord upload, const storage::PoolRoom& room);
    Result<void> append(std::span<const char> bytes);
    loop::Task<Problem> inspect(std::shared_ptr<const storage::OpenFile> file);
    Result<api::ApiAnswer> store();
    Result<std::optional<conf::Sha256Digest>> strip();
    Result<storage::ObjectInfo> keep(const storage::PutOptions& options);
    void remove_kept();
    void abandon();
    Result<std::optional<api::ApiAnswer>> answer_duplicate(const storage::Uuid& uuid);
    api::ApiAnswer answer_of(const storage::ImageRecord& image,
                             std::span<const storage::ObjectRecord> rows, bool is_duplicate);

    Intake& intake_;
    loop::Loop& loop_;
    FileOffer offer_;
    loop::WorkerPool& writers_;  // of its pool
    std::optional<storage::UploadRecord> reservation_;
    std::optional<Intake::Running> place_;  // among the pool's uploads
    std::optional<Intake::Held> held_;
    bool is_ended_ = false;  // the reservation is gone, or is to stay
    storage::Uuid uuid_{};
    storage::Uuid image_{};
    std::string key_;
    std::shared_ptr<storage::Driver> driver_;
    std::unique_ptr<storage::StagedFile> file_;
    std::uint64_t size_ = 0;
    bool strips_metadata_ = false;
    conf::Sha256 hash_;
    ImageFacts facts_;
};

}  // namespace tidepool::upload
