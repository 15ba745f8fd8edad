#include "transform/worker/run.h"

#include "transform/test_hooks.h"
#include "transform/worker/inspect.h"
#include "transform/worker/make.h"
#include "transform/worker/sandbox.h"
#include "transform/worker/vips/sample.h"
#include "transform/worker_channel.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <new>
#include <semaphore>
#include <span>
#include <string>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tidepool::transform {

namespace {

// Reads what is in memory of this process from a file that was opened before it was locked in.
class Memory {
  public:
    Memory() : statm_(open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {}

    // 0 where it cannot be told.
    std::uint64_t resident_bytes() const {
        char text[128] = {};
        unsigned long mapped = 0;
        unsigned long resident = 0;
        if (pread(statm_.get(), text, sizeof text - 1, 0) <= 0 ||
            std::sscanf(text, "%lu %lu", &mapped, &resident) != 2)
            return 0;
        return resident * 4096ULL;
    }

    // What is resident now is what the worker needs without a job.
    void set_base() {
        malloc_trim(0);
        base_ = resident_bytes();
    }
    // Gives back what is freed, where more than this is kept.
    void keep(std::uint64_t bytes) const {
        if (resident_bytes() > base_ + bytes) malloc_trim(0);
    }

  private:
    conf::Descriptor statm_;
    std::uint64_t base_ = 0;
};

Recipe warm_up_recipe(Format format) {
    Recipe recipe;
    recipe.format = format;
    recipe.quality = 50;
    recipe.effort = format == Format::jxl ? 3 : 1;
    recipe.width = 8;  // something to resize
    recipe.limits = {1 << 20, 1 << 20, 1, 1 << 20, 1 << 20};
    return recipe;
}

Result<void> warm_up_inspection(std::span<const char> source) {
    const Limits limits{1 << 20, 1 << 20, 1, 1 << 20, 1 << 20};
    const auto seen = inspect(source, limits, InspectDepth::pixels);
    if (!seen) return std::unexpected(seen.error());
    return {};
}

// Each format is encoded, and what came of it decoded and looked at: loads libvips' modules and the
// codecs' plugins, and lets every library find what it looks for on the disk.
Result<void> warm_up() {
    if (auto ready = prepare_to_make(); !ready) return ready;
    const auto sample = sample_image();
    if (!sample) return std::unexpected(sample.error());
    // Its colours are converted here and not for every format: that takes milliseconds each time.
    const auto plain = make(sample->view(), warm_up_recipe(Format::png));
    if (!plain) return std::unexpected(plain.error());
    for (const Format format :
         {Format::webp, Format::avif, Format::jpeg, Format::png, Format::gif, Format::jxl}) {
        const auto made = make(plain->bytes.view(), warm_up_recipe(format));
        if (!made) return std::unexpected(made.error());
        if (format == Format::jxl) continue;  // which is not decoded
        const auto again = make(made->bytes.view(), warm_up_recipe(Format::webp));
        if (!again) return std::unexpected(again.error());
        if (auto seen = warm_up_inspection(made->bytes.view()); !seen) return seen;
    }
    const auto photograph = sample_photograph();
    if (!photograph) return std::unexpected(photograph.error());
    return warm_up_inspection(photograph->view());
}

// Where sources are read to. Kept from one job to the next: new memory costs as much as copying.
class SourceMemory {
  public:
    // Room for this many bytes, with any content.
    std::span<char> room(std::size_t size) {
        if (size > size_) {
            data_.reset();
            size_ = 0;
            data_ = std::make_unique_for_overwrite<char[]>(size);
            size_ = size;
        }
        return {data_.get(), size};
    }
    // Afterwards; a large one is not kept.
    void tidy() {
        constexpr std::size_t kMostKept = std::size_t{16} * 1024 * 1024;
        if (size_ <= kMostKept) return;
        data_.reset();
        size_ = 0;
    }

  private:
    std::unique_ptr<char[]> data_;
    std::size_t size_ = 0;
};

std::span<const Recipe> recipes_of(const Job& job) {
    return std::span(job.recipes).first(job.recipe_count);
}

// Into memory: a mapped file that somebody cuts would end the process.
Result<std::span<const char>> read_source(const Job& job, int fd, SourceMemory& memory) {
    std::uint64_t most = job.limits.source_bytes;
    for (const Recipe& recipe : recipes_of(job))
        most = std::max(most, recipe.limits.source_bytes);
    if (job.source_bytes > most) {
        return fail(ErrorKind::too_large,
                    fmt::format("{} bytes, and at most {} are decoded", job.source_bytes, most));
    }
    const auto size = static_cast<std::size_t>(job.source_bytes);
    const std::span<char> bytes = memory.room(size);
    std::size_t done = 0;
    while (done < size) {
        const ssize_t count = pread(fd, bytes.data() + done, size - done, static_cast<off_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno(errno, "read the source");
        if (count == 0) return fail(ErrorKind::busy, "the source was cut while it was read");
        done += static_cast<std::size_t>(count);
    }
    return bytes;
}

// A source for a look that reads it once: copying it would cost more than the look. Where somebody
// cuts it meanwhile, that ends this process and no other.
class MappedSource {
  public:
    MappedSource() = default;
    ~MappedSource() {
        if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
    }
    MappedSource(const MappedSource&) = delete;
    MappedSource& operator=(const MappedSource&) = delete;

    // Once.
    Result<std::span<const char>> map(int fd, std::uint64_t size) {
        struct stat status{};
        if (fstat(fd, &status) != 0) return fail_errno(errno, "stat the source");
        if (static_cast<std::uint64_t>(status.st_size) < size)
            return fail(ErrorKind::busy, "the source was cut while it was read");
        if (size == 0) return bytes_;
        void* const data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED && errno == ENOMEM)
            return fail(ErrorKind::too_large, "more memory than a worker may have");
        if (data == MAP_FAILED) return fail_errno(errno, "map the source");
        bytes_ = {static_cast<char*>(data), static_cast<std::size_t>(size)};
        return bytes_;
    }

  private:
    std::span<char> bytes_;
};

Result<conf::Descriptor> make_variant(const Job& job, std::size_t index,
                                      std::span<const char> source, VariantSet& variants,
                                      Answer& answer) {
    if (auto limited = limit_processor_time(job.cpu_seconds); !limited)
        return std::unexpected(limited.error());
    obey_test_source(source, index);
    const auto made = variants.make(index);
    if (!made) return std::unexpected(made.error());
    answer.width = made->width;
    answer.height = made->height;
    answer.frames = made->frames;
    answer.result_bytes = made->bytes.view().size();
    return make_sealed_file(made->bytes.view());
}

// What `make` gives, or why there was not the memory for it.
template <class Make>
auto within_memory(const Make& make) -> decltype(make()) {
    try {
        return make();
    } catch (const std::bad_alloc&) {
        return fail(ErrorKind::too_large, "more memory than a worker may have");
    }
}

// What a job is done with.
struct Desk {
    int socket;
    const Memory& memory;
    SourceMemory& sources;
};

// False where nobody listens any more. `result` has a variant, or none of an inspection.
bool send_answer(const Desk& desk, Answer& answer, const Result<conf::Descriptor>& result) {
    if (result) {
        answer.made = 1;
    } else {
        answer.kind = result.error().kind;
        answer.set_text(result.error().text);
    }
    answer.resident_bytes = desk.memory.resident_bytes();
    while (true) {
        const auto sent = send_message(desk.socket, answer, result ? result->get() : -1);
        if (sent || sent.error().kind != ErrorKind::busy) return sent.has_value();
        // What is on its way is counted for all processes of a user together, but against the
        // sender's limit of descriptors, which is low here: until others have taken theirs.
        std::binary_semaphore(0).try_acquire_for(std::chrono::milliseconds(1));
    }
}

// Before the last answer.
void tidy_up(const Desk& desk, const Job& job) {
    desk.sources.tidy();
    desk.memory.keep(job.kept_bytes);
}

bool make_variants(const Desk& desk, const Job& job, const Result<std::span<const char>>& source) {
    const std::span recipes = recipes_of(job);
    auto variants =
        std::make_unique<VariantSet>(source ? *source : std::span<const char>(), recipes);
    for (std::size_t i = 0; i < recipes.size(); ++i) {
        Answer answer;
        answer.number = job.number;
        answer.index = static_cast<std::uint32_t>(i);
        const auto result =
            source ? within_memory([&] { return make_variant(job, i, *source, *variants, answer); })
                   : std::unexpected(source.error());
        answer.decodes = variants->decodes();
        if (i + 1 == recipes.size()) {
            variants.reset();
            tidy_up(desk, job);
        }
        if (!send_answer(desk, answer, result)) return false;
    }
    return true;
}

Result<Inspection> look_closely(const Job& job, std::span<const char> source) {
    if (auto limited = limit_processor_time(job.cpu_seconds); !limited)
        return std::unexpected(limited.error());
    obey_test_source(source, 0);
    return inspect(source, job.limits, job.depth);
}

bool inspect_source(const Desk& desk, const Job& job, const Result<std::span<const char>>& source) {
    Answer answer;
    answer.number = job.number;
    const auto seen = source ? within_memory([&] { return look_closely(job, *source); })
                             : std::unexpected(source.error());
    if (seen) answer.inspection = *seen;
    tidy_up(desk, job);
    return send_answer(desk, answer,
                       seen ? Result<conf::Descriptor>() : std::unexpected(seen.error()));
}

// False where nobody listens any more.
bool do_job(const Desk& desk, const Job& job, int source_fd) {
    if (job.kind == Job::Kind::inspect && job.depth == InspectDepth::structure &&
        job.source_bytes <= job.limits.source_bytes) {
        MappedSource source;
        return inspect_source(desk, job, source.map(source_fd, job.source_bytes));
    }
    const auto source = within_memory([&] { return read_source(job, source_fd, desk.sources); });
    return job.kind == Job::Kind::inspect ? inspect_source(desk, job, source)
                                          : make_variants(desk, job, source);
}

int serve_jobs(int socket, const Memory& memory) {
    SourceMemory sources;
    const Desk desk{socket, memory, sources};
    while (true) {
        Job job;
        const auto source = receive_message(socket, job);
        if (!source) return source.error().kind == ErrorKind::closed ? 0 : 1;
        if (job.recipe_count > Job::kMostRecipes || !do_job(desk, job, source->get())) return 1;
    }
}

}  // namespace

int run_worker(int socket, const WorkerLimits& limits) {
    Answer ready;
    Memory memory;
    // They are meant for the server, which ends this process by closing its socket.
    for (const int signal_number : {SIGINT, SIGTERM, SIGHUP})
        std::signal(signal_number, SIG_IGN);
    Result<void> prepared;
    // Where the server stands back further, so do its workers: nobody may come forward again.
    const int nice = std::max(limits.nice, getpriority(PRIO_PROCESS, 0));
    if (setpriority(PRIO_PROCESS, 0, nice) != 0)
        prepared = fail_errno(errno, "set the worker's nice value");
    if (prepared) prepared = warm_up();
    if (prepared) prepared = enter_sandbox(limits);
    ready.made = prepared ? 1 : 0;
    if (!prepared) {
        ready.kind = prepared.error().kind;
        ready.set_text(prepared.error().text);
    }
    memory.set_base();
    ready.resident_bytes = memory.resident_bytes();
    const auto sent = send_message(socket, ready);
    return prepared && sent ? serve_jobs(socket, memory) : 1;
}

}  // namespace tidepool::transform
