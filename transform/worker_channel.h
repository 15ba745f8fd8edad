// What server and worker process say to each other: one message per packet of a SOCK_SEQPACKET
// pair, with a descriptor beside it. Both are built as one, so messages are plain values as they
// are in memory.
#pragma once

#include "conf/descriptor.h"
#include "conf/error.h"
#include "transform/inspection.h"
#include "transform/recipe.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace tidepool::transform {

// The descriptors that a worker is given besides standard input and output, which lead nowhere: its
// end of the pair, and its own program, which it closes.
inline constexpr int kWorkerSocket = 3;
inline constexpr int kWorkerProgram = 4;

// What a worker is started with.
struct WorkerLimits {
    std::uint64_t memory_bytes = 0;  // that one image may take
    std::uint64_t file_bytes = 0;    // of each memory file that it makes
    int nice = 0;
};

// To the worker, with the source, open for reading: the variants to be made of it, or how closely
// it is to be looked at.
struct Job {
    enum class Kind : std::uint8_t { make, inspect };
    static constexpr std::size_t kMostRecipes = 32;
    std::uint64_t number = 0;        // comes back with the answer
    std::uint64_t source_bytes = 0;  // that are read, from the source's beginning
    std::uint32_t cpu_seconds = 0;   // of processor time for each answer; then the kernel ends the
                                     // worker
    std::uint64_t kept_bytes = 0;    // memory that the worker may keep for the next job
    Kind kind = Kind::make;
    InspectDepth depth = InspectDepth::structure;  // with Kind::inspect, as are the limits
    Limits limits;
    std::uint32_t recipe_count = 0;  // with Kind::make
    std::array<Recipe, kMostRecipes> recipes;
};

// From the worker, one for each recipe of a job, in their order and each as soon as it is known,
// with the result as a sealed memory file where there is one; or one for an inspection. The first
// one, of number 0 and without a result, says that the worker is ready.
struct Answer {
    static constexpr std::size_t kTextBytes = 400;
    std::uint64_t number = 0;
    std::uint32_t index = 0;           // of the recipe
    std::uint32_t decodes = 0;         // of the source's pixels, for the job so far
    std::uint64_t resident_bytes = 0;  // of the worker; after the job with its last answer
    std::uint64_t result_bytes = 0;
    std::int32_t width = 0;
    std::int32_t height = 0;
    std::int32_t frames = 0;
    Inspection inspection;  // with Job::Kind::inspect; see believed()
    std::uint8_t made = 0;  // 1: there is a result; 0: `kind` and `text` say why not
    ErrorKind kind = ErrorKind::io;
    std::array<char, kTextBytes> text{};

    void set_text(std::string_view words);
    // Whatever a worker that has been taken over put there.
    std::string printable_text() const;
};

static_assert(std::is_trivially_copyable_v<Job> && std::is_trivially_copyable_v<Answer>);

// A pair of ends, both closed on exec. The first does not block.
struct Channel {
    conf::Descriptor ours;
    conf::Descriptor theirs;
};
Result<Channel> open_channel();

// Sends one message, and `fd` beside it unless that is -1. `closed` where the other end has gone,
// `busy` where it would have to wait: for room, or until descriptors that are on their way are
// taken.
Result<void> send_packet(int socket, std::span<const char> bytes, int fd);

// Receives one message of exactly this size, with one descriptor at most. `closed` where the other
// end has gone, `busy` where there is none yet, `invalid` where it has another form, `io` where
// this process may open no more.
Result<conf::Descriptor> receive_packet(int socket, std::span<char> into);

template <class Message>
Result<void> send_message(int socket, const Message& message, int fd = -1) {
    return send_packet(socket, {reinterpret_cast<const char*>(&message), sizeof message}, fd);
}

// The descriptor that came with it, or none.
template <class Message>
Result<conf::Descriptor> receive_message(int socket, Message& into) {
    return receive_packet(socket, {reinterpret_cast<char*>(&into), sizeof into});
}

// A memory file that nobody can change any more; one of a program can be run.
enum class MemoryFile : std::uint8_t { variant, program };
Result<conf::Descriptor> make_sealed_file(std::span<const char> bytes,
                                          MemoryFile what = MemoryFile::variant);
// Makes a memory file one that nobody can change any more; it must allow that.
Result<void> seal_file(int fd);
// True where it is one, of this size.
bool is_sealed_file(int fd, std::uint64_t bytes);

}  // namespace tidepool::transform
