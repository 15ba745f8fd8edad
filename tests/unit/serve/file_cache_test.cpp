#include "proxy/serve/file_cache.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>

using namespace tidepool;
using namespace tidepool::serve;
using State = FileCache::State;

namespace {

conf::CacheSettings settings(std::uint64_t memory_bytes, unsigned files, unsigned absent) {
    conf::CacheSettings result;
    result.memory_bytes = memory_bytes;
    result.memory_object_bytes = 64 * 1024;
    result.files = files;
    result.absent = absent;
    result.freshness = conf::Milliseconds(1000);
    return result;
}

std::shared_ptr<const CachedFile> in_memory(std::size_t bytes) {
    auto file = std::make_shared<CachedFile>();
    file->body.assign(bytes, 'x');
    return file;
}

std::shared_ptr<const CachedFile> on_disk() {
    auto file = std::make_shared<CachedFile>();
    file->held = CachedFile::Held::in_file;
    file->file = std::make_shared<storage::OpenFile>(open("/dev/null", O_RDONLY | O_CLOEXEC),
                                                     storage::FileIdentity{}, 0);
    return file;
}

std::string key(int number) {
    return "uploads/" + std::to_string(number);
}

}  // namespace

TEST_CASE("file cache: what is known ages", "[serve][cache]") {
    FileCache cache(settings(1 << 20, 100, 100));
    CHECK(cache.find("a", 0).state == State::unknown);
    const auto file = in_memory(10);
    cache.put("a", file, 5000, cache.generation("a"));
    CHECK(cache.find("a", 5000).state == State::fresh);
    CHECK(cache.find("a", 4000).state == State::fresh);  // another loop's clock may be behind
    CHECK(cache.find("a", 5499).file == file);
    CHECK(cache.find("a", 5500).state == State::ageing);
    CHECK(cache.find("a", 5600).state == State::fresh);  // somebody else checks it
    CHECK(cache.find("a", 6000).state == State::stale);
    cache.put("a", file, 5900, cache.generation("a"));
    CHECK(cache.find("a", 6000).state == State::fresh);
    CHECK(cache.find("a", 6500).state == State::ageing);
    cache.give_up_check("a");
    CHECK(cache.find("a", 6500).state == State::ageing);
}

TEST_CASE("file cache: absence is known too, and ends when the file comes", "[serve][cache]") {
    FileCache cache(settings(1 << 20, 100, 100));
    cache.put("a", nullptr, 0, cache.generation("a"));
    CHECK(cache.find("a", 1).state == State::fresh);
    CHECK(cache.find("a", 1).file == nullptr);
    cache.put("a", in_memory(10), 2, cache.generation("a"));
    CHECK(cache.find("a", 2).file != nullptr);
    CHECK(cache.usage().absent_entries == 0);
    cache.put("a", on_disk(), 3, cache.generation("a"));
    CHECK(cache.usage().memory_entries == 0);
    CHECK(cache.usage().memory_bytes == 0);
    CHECK(cache.usage().open_files == 1);
}

TEST_CASE("file cache: each kind keeps within its own limit", "[serve][cache]") {
    constexpr std::size_t kLimit = 1 << 20;
    FileCache cache(settings(kLimit, 64, 160));
    for (int i = 0; i < 5000; ++i) {
        cache.put(key(i), in_memory(5000), 0, cache.generation(key(i)));
        cache.put(key(i) + "d", on_disk(), 0, cache.generation(key(i) + "d"));
        cache.put(key(i) + "a", nullptr, 0, cache.generation(key(i) + "a"));
    }
    const FileCache::Usage usage = cache.usage();
    CHECK(usage.memory_bytes <= kLimit);
    CHECK(usage.memory_bytes > kLimit / 2);
    CHECK(usage.memory_entries > 100);
    CHECK(usage.open_files <= 64);
    CHECK(usage.open_files > 32);
    CHECK(usage.absent_entries <= 160);
    CHECK(usage.absent_entries > 80);
    CHECK(usage.evictions + usage.memory_entries + usage.open_files + usage.absent_entries ==
          15'000);
}

TEST_CASE("file cache: what is used stays", "[serve][cache]") {
    FileCache cache(settings(1 << 20, 64, 160));
    cache.put("hot", in_memory(5000), 0, cache.generation("hot"));
    for (int i = 0; i < 5000; ++i) {
        cache.put(key(i), in_memory(5000), 0, cache.generation(key(i)));
        // The clock goes on: moving to the front happens now and then, not at every hit.
        REQUIRE(cache.find("hot", static_cast<std::uint64_t>(i) * 1000).state != State::unknown);
    }
}

TEST_CASE("file cache: what was looked for under old rules is not kept", "[serve][cache]") {
    FileCache cache(settings(1 << 20, 64, 160));
    const std::uint64_t before = cache.generation("a");
    cache.put("a", in_memory(10), 0, before);
    cache.clear();
    CHECK(cache.find("a", 0).state == State::unknown);
    cache.put("a", in_memory(10), 0, before);
    CHECK(cache.find("a", 0).state == State::unknown);
    cache.put("a", in_memory(10), 0, cache.generation("a"));
    CHECK(cache.find("a", 0).state == State::fresh);
}

TEST_CASE("file cache: what was looked for before it changed is not kept", "[serve][cache]") {
    FileCache cache(settings(1 << 20, 64, 160));
    const auto known = in_memory(10);
    const std::uint64_t before = cache.generation("a");
    cache.put("a", known, 0, before);
    cache.forget("a");
    cache.put("a", known, 0, before);
    CHECK(cache.find("a", 0).state == State::unknown);
    cache.put("a", known, 0, cache.generation("a"));
    CHECK(cache.find("a", 0).state == State::fresh);
    cache.replace("a", known, in_memory(20), false);
    CHECK(cache.find("a", 0).file->body.size() == 20);
}

TEST_CASE("file cache: what is too large for memory", "[serve][cache]") {
    const FileCache cache(settings(1 << 20, 64, 160));
    CHECK(cache.holds_in_memory(0));
    CHECK(cache.holds_in_memory(32 * 1024));
    CHECK_FALSE(cache.holds_in_memory(64 * 1024));  // more than half of a shard
    const FileCache large(settings(64 << 20, 64, 160));
    CHECK(large.holds_in_memory(64 * 1024));
    CHECK_FALSE(large.holds_in_memory(64 * 1024 + 1));
    const FileCache none(settings(0, 64, 160));
    CHECK_FALSE(none.holds_in_memory(1));
}

TEST_CASE("file cache: many threads at once", "[serve][cache]") {
    FileCache cache(settings(1 << 18, 32, 32));
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 3000; ++i) {
                const int number = (i * 7 + t) % 200;
                const auto bytes = static_cast<std::size_t>(number) + 1;
                if (i % 3 == 0) {
                    cache.put(key(number), number % 5 == 0 ? nullptr : in_memory(bytes),
                              static_cast<std::uint64_t>(i), cache.generation(key(number)));
                } else if (i % 1000 == 1) {
                    cache.clear();
                } else {
                    const auto found = cache.find(key(number), static_cast<std::uint64_t>(i));
                    if (found.file && found.file->body.size() != bytes) ++wrong;
                }
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(wrong == 0);
}

TEST_CASE("file cache: all keys of an image are forgotten, and what is looked for of them is late",
          "[serve][cache]") {
    FileCache cache(settings(1 << 20, 100, 100));
    const std::string uuid = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab";
    const std::string original = "uploads/original/2026/02/25/" + uuid + ".jpg";
    const std::string variant = "uploads/variants/2026/02/25/" + uuid + "_small.webp";
    const std::string absent = "uploads/variants/2026/02/25/" + uuid + "_medium.webp";
    cache.put(original, on_disk(), 0, cache.generation(original));
    cache.put(variant, in_memory(10), 0, cache.generation(variant));
    cache.put(absent, nullptr, 0, cache.generation(absent));
    cache.put("uploads/a.jpg", in_memory(10), 0, cache.generation("uploads/a.jpg"));
    const std::uint64_t before = cache.generation(variant);
    cache.forget_image(*storage::parse_uuid(uuid));
    for (const std::string& each : {original, variant, absent}) {
        CAPTURE(each);
        CHECK(cache.find(each, 0).state == State::unknown);
    }
    CHECK(cache.find("uploads/a.jpg", 0).state == State::fresh);
    CHECK(cache.usage().memory_entries == 1);
    CHECK(cache.usage().open_files + cache.usage().absent_entries == 0);
    cache.put(variant, in_memory(10), 0, before);
    CHECK(cache.find(variant, 0).state == State::unknown);
}
