#include "storage/shelf.h"

#include "tests/support/folder.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::storage;
namespace fs = std::filesystem;

namespace {

using Sizes = std::vector<std::uint64_t>;

// The folder of a shelf of 1000 bytes.
constexpr std::uint64_t kDigestBytes = 32;  // behind everything that is on the shelf

class Ground {
  public:
    conf::ShelfSettings settings{.path = "", .size_bytes = 1000, .min_free_bytes = 0};

    Ground() { settings.path = folder_.path("shelf"); }

    std::unique_ptr<Shelf> open() const {
        auto opened = Shelf::open(settings);
        if (!opened) FAIL(opened.error().text);
        return std::move(*opened);
    }
    std::string path(const std::string& name) const { return settings.path + '/' + name; }
    void write(const std::string& name, std::string_view content) const {
        fs::create_directories(fs::path(path(name)).parent_path());
        folder_.write("shelf/" + name, content);
    }
    bool has(const std::string& name) const { return fs::exists(path(name)); }

    // The files of what is on the shelf that have this size.
    std::vector<std::string> files_of(std::uint64_t bytes) const {
        std::vector<std::string> found;
        for (const auto& file : fs::recursive_directory_iterator(settings.path)) {
            if (file.is_regular_file() && file.path().filename() != "in-use" &&
                file.file_size() == bytes + kDigestBytes)
                found.push_back(file.path());
        }
        return found;
    }
    std::string file_of(std::uint64_t bytes) const {
        const auto files = files_of(bytes);
        REQUIRE(files.size() == 1);
        return files[0];
    }
    // Without the digests.
    std::uint64_t bytes_on_disk() const {
        std::uint64_t bytes = 0;
        for (const auto& file : fs::recursive_directory_iterator(settings.path)) {
            if (!file.is_regular_file() || file.path().filename() == "in-use") continue;
            const bool is_committed = file.path().parent_path().filename() != "partial";
            bytes += file.file_size() - (is_committed ? kDigestBytes : 0);
        }
        return bytes;
    }

  private:
    test::Folder folder_;
};

// Objects that differ in their size, by which their files can be told.
ShelfName object(std::uint64_t bytes) {
    return {"b2", fmt::format("uploads/{}.jpg", bytes), "1", std::nullopt, bytes};
}
ShelfName slice(std::uint64_t number, std::uint64_t bytes) {
    return {"b2", "uploads/large.jpg", "1", number, bytes};
}

std::string content_of(const ShelfName& name) {
    return std::string(name.bytes(), static_cast<char>('a' + name.bytes() % 26));
}

// What whoever puts it there knows of it.
std::optional<conf::Sha256Digest> digest_of(const ShelfName& name) {
    if (name.is_slice()) return std::nullopt;
    return conf::sha256(content_of(name));
}

void put(Shelf& shelf, const ShelfName& name) {
    auto filling = shelf.begin(name);
    if (!filling) FAIL(filling.error().text);
    REQUIRE((*filling)->append(content_of(name)));
    REQUIRE((*filling)->commit(digest_of(name)));
}

// What find() gives, read; nothing where it is not there.
std::optional<std::string> get(Shelf& shelf, const ShelfName& name) {
    const auto file = shelf.find(name);
    if (!file) {
        REQUIRE(file.error().kind == ErrorKind::not_found);
        return std::nullopt;
    }
    std::string content(name.bytes(), '\0');
    REQUIRE((*file)->read(0, content));
    return content;
}

bool has(Shelf& shelf, const ShelfName& name) {
    const auto content = get(shelf, name);
    if (content) CHECK(*content == content_of(name));
    return content.has_value();
}

std::vector<std::uint64_t> held(const Shelf& shelf, const std::vector<std::uint64_t>& sizes) {
    std::vector<std::uint64_t> result;
    for (const std::uint64_t bytes : sizes) {
        if (shelf.holds(object(bytes))) result.push_back(bytes);
    }
    return result;
}

void set_times(const std::string& path, std::int64_t accessed_s, std::int64_t modified_s) {
    const timespec times[2] = {{.tv_sec = accessed_s, .tv_nsec = 0},
                               {.tv_sec = modified_s, .tv_nsec = 0}};
    REQUIRE(utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

}  // namespace

TEST_CASE("shelf: what was committed is found, whole", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    CHECK_FALSE(shelf->holds(object(100)));
    CHECK_FALSE(has(*shelf, object(100)));
    {
        const auto filling = shelf->begin(object(100));
        REQUIRE(filling);
        const std::string content = content_of(object(100));
        REQUIRE((*filling)->append(std::string_view(content).substr(0, 60)));
        CHECK_FALSE(has(*shelf, object(100)));
        std::string so_far(60, '\0');
        REQUIRE((*filling)->file()->read(0, so_far));
        CHECK(so_far == content.substr(0, 60));
        REQUIRE((*filling)->append(std::string_view(content).substr(60)));
        REQUIRE((*filling)->commit(digest_of(object(100))));
        CHECK(shelf->usage().bytes == 100);  // not twice
    }
    CHECK(shelf->holds(object(100)));
    CHECK(has(*shelf, object(100)));
    CHECK(shelf->usage().bytes == 100);
    CHECK(shelf->usage().entries == 1);
}

TEST_CASE("shelf: names differ by pool, key, version, slice and size", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    const ShelfName name("p", "key", "v", std::nullopt, 10);
    put(*shelf, name);
    const ShelfName others[] = {
        {"q", "key", "v", std::nullopt, 10},
        {"p", "kez", "v", std::nullopt, 10},
        {"p", "key", "w", std::nullopt, 10},
        {"p", "key", "v", 0, 10},
        {"p", "key", "v", 1, 10},
        {"p", "key", "v", std::nullopt, 11},
        {"pk", "ey", "v", std::nullopt, 10},  // the same letters, parted elsewhere
        {"p", "keyv", "", std::nullopt, 10},
    };
    for (const ShelfName& other : others) {
        CHECK_FALSE(shelf->holds(other));
        CHECK_FALSE(has(*shelf, other));
    }
    for (const ShelfName& other : others)
        put(*shelf, other);
    CHECK(shelf->usage().entries == 9);
    CHECK(shelf->usage().bytes == 91);
    for (const ShelfName& other : others)
        CHECK(has(*shelf, other));
    CHECK(has(*shelf, {"p", "key", "v", std::nullopt, 10}));
}

TEST_CASE("shelf: slices of another size, as after a change of settings, are counted apart",
          "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    put(*shelf, slice(0, 100));
    put(*shelf, slice(0, 200));
    CHECK(shelf->usage().bytes == 300);
    CHECK(has(*shelf, slice(0, 100)));
    CHECK(has(*shelf, slice(0, 200)));
    CHECK(ground.bytes_on_disk() == 300);
}

TEST_CASE("shelf: what things came to is kept with them, over restarts", "[storage][shelf]") {
    const Ground ground;
    for (const ShelfName& name : {object(100), slice(3, 50)}) {
        CAPTURE(name.is_slice());
        put(*ground.open(), name);
        const auto shelf = ground.open();
        const auto file = shelf->find(name);
        REQUIRE(file);
        const auto digest = Shelf::digest_of(**file, name);
        REQUIRE(digest);
        CHECK(*digest == conf::sha256(content_of(name)));
    }
}

TEST_CASE("shelf: what was damaged is not found, and gone", "[storage][shelf]") {
    const Ground ground;
    for (const ShelfName& name : {object(100), slice(3, 100)}) {
        for (const long at : {0L, 99L, 100L}) {  // the last of these is the digest's
            for (const bool restarted : {false, true}) {
                CAPTURE(name.is_slice(), at, restarted);
                auto shelf = ground.open();
                put(*shelf, name);
                REQUIRE(has(*shelf, name));
                {
                    std::fstream file(ground.file_of(100));
                    file.seekp(at);
                    file.put('?');
                }
                // Not within the tick of the clock in which it was put there.
                set_times(ground.file_of(100), 1'600'000'000, 1'600'000'000);
                if (restarted) shelf = ground.open();
                const auto found = shelf->find(name);
                REQUIRE_FALSE(found);
                CHECK(found.error().kind == ErrorKind::corrupt);
                CHECK_FALSE(shelf->holds(name));
                CHECK(ground.files_of(100).empty());
            }
        }
    }
}

TEST_CASE("shelf: it reads what it has to prove only once", "[storage][shelf]") {
    const Ground ground;
    put(*ground.open(), object(100));
    const auto shelf = ground.open();
    REQUIRE(has(*shelf, object(100)));
    // With the times of before nothing tells that it changed.
    const std::string path = ground.file_of(100);
    struct stat status{};
    REQUIRE(stat(path.c_str(), &status) == 0);
    {
        std::fstream file(path);
        file.put('?');
    }
    const timespec times[2] = {status.st_atim, status.st_mtim};
    REQUIRE(utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    CHECK(shelf->find(object(100)));
    CHECK_FALSE(ground.open()->find(object(100)));
}

TEST_CASE("shelf: what was not committed leaves nothing", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    {
        const auto filling = shelf->begin(object(100));
        REQUIRE(filling);
        CHECK(shelf->usage().bytes == 100);
        REQUIRE((*filling)->append("some of it"));
        const auto too_early = (*filling)->commit(digest_of(object(100)));
        REQUIRE_FALSE(too_early);
        CHECK(too_early.error().kind == ErrorKind::invalid);
    }
    {
        const auto filling = shelf->begin(object(100));
        REQUIRE(filling);
        REQUIRE((*filling)->append(content_of(object(100))));
        const auto unproved = (*filling)->commit();
        REQUIRE_FALSE(unproved);
        CHECK(unproved.error().kind == ErrorKind::invalid);
    }
    CHECK_FALSE(has(*shelf, object(100)));
    CHECK(shelf->usage().bytes == 0);
    CHECK(ground.bytes_on_disk() == 0);
}

TEST_CASE("shelf: what was asked for least recently is evicted first", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    for (const std::uint64_t bytes : Sizes{240, 241, 242, 243})
        put(*shelf, object(bytes));
    CHECK(shelf->usage().bytes == 966);
    put(*shelf, object(244));
    CHECK(held(*shelf, {240, 241, 242, 243, 244}) == Sizes{241, 242, 243, 244});
    CHECK_FALSE(has(*shelf, object(240)));
    CHECK(ground.files_of(240).empty());
    CHECK(shelf->usage().evictions == 1);
    CHECK(shelf->usage().evicted_bytes == 240);

    REQUIRE(has(*shelf, object(241)));  // a use
    put(*shelf, object(245));
    CHECK(held(*shelf, {241, 242, 243, 244, 245}) == Sizes{241, 243, 244, 245});
}

TEST_CASE("shelf: what somebody reads goes on being readable when it is evicted",
          "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    put(*shelf, object(200));
    const auto file = shelf->find(object(200));
    REQUIRE(file);
    shelf->drop(object(200));
    std::string content(200, '\0');
    REQUIRE((*file)->read(0, content));
    CHECK(content == content_of(object(200)));
}

TEST_CASE("shelf: a scan of things wanted once leaves alone what was wanted twice",
          "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    const Sizes wanted{150, 151, 152, 153};
    for (const std::uint64_t bytes : wanted) {
        put(*shelf, object(bytes));
        REQUIRE(has(*shelf, object(bytes)));
    }
    for (std::uint64_t bytes = 1; bytes < 120; ++bytes)
        put(*shelf, object(bytes));
    CHECK(held(*shelf, wanted) == wanted);
    CHECK(shelf->usage().bytes <= 1000);
}

TEST_CASE("shelf: what is wanted anew gets in although all was wanted twice", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    for (const std::uint64_t bytes : Sizes{200, 201, 202, 203}) {
        put(*shelf, object(bytes));
        REQUIRE(has(*shelf, object(bytes)));
    }
    // More than four fifths: the one that was used first counts as wanted once.
    put(*shelf, object(210));
    CHECK(held(*shelf, {200, 201, 202, 203, 210}) == Sizes{201, 202, 203, 210});
}

TEST_CASE("shelf: never more than its size, also while it is filled", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    for (std::uint64_t bytes = 50; bytes < 250; bytes += 7) {
        put(*shelf, object(bytes));
        CHECK(shelf->usage().bytes <= 1000);
        CHECK(ground.bytes_on_disk() == shelf->usage().bytes);
    }
    std::vector<std::unique_ptr<Shelf::Filling>> fillings;
    for (std::uint64_t i = 0; i < 4; ++i) {
        auto filling = shelf->begin(slice(i, 240));
        REQUIRE(filling);
        fillings.push_back(std::move(*filling));
    }
    CHECK(shelf->usage().bytes <= 1000);
    const auto full = shelf->begin(slice(4, 240));  // of what is being filled
    REQUIRE_FALSE(full);
    CHECK(full.error().kind == ErrorKind::overloaded);
    fillings.clear();
    CHECK(shelf->usage().bytes <= 40);
    put(*shelf, slice(4, 240));
}

TEST_CASE("shelf: what cannot get room evicts nothing", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    put(*shelf, object(100));
    const auto too_large = shelf->begin(object(251));
    REQUIRE_FALSE(too_large);
    CHECK(too_large.error().kind == ErrorKind::overloaded);
    std::vector<std::unique_ptr<Shelf::Filling>> fillings;
    for (std::uint64_t i = 0; i < 3; ++i) {
        auto filling = shelf->begin(slice(i, 250));
        REQUIRE(filling);
        fillings.push_back(std::move(*filling));
    }
    auto small = shelf->begin(slice(3, 150));
    REQUIRE(small);
    CHECK(shelf->holds(object(100)));
    const auto no_room = shelf->begin(slice(4, 101));  // 900 are being filled
    REQUIRE_FALSE(no_room);
    CHECK(no_room.error().kind == ErrorKind::overloaded);
    CHECK(shelf->holds(object(100)));
    CHECK(shelf->usage().bytes == 1000);
    small->reset();
    fillings.clear();
    CHECK(shelf->usage().bytes == 100);
}

TEST_CASE("shelf: a disk without min_free takes nothing", "[storage][shelf]") {
    Ground ground;
    {
        const auto shelf = ground.open();
        put(*shelf, object(100));
    }
    ground.settings.min_free_bytes = 1ULL << 60;
    const auto shelf = ground.open();
    CHECK(has(*shelf, object(100)));
    const auto full = shelf->begin(object(101));
    REQUIRE_FALSE(full);
    CHECK(full.error().kind == ErrorKind::overloaded);
    CHECK(shelf->usage().bytes == 0);  // what it had has made room
    CHECK(ground.bytes_on_disk() == 0);
}

TEST_CASE("shelf: files that somebody deletes or cuts are not there", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    for (const std::uint64_t bytes : Sizes{100, 101, 102})
        put(*shelf, object(bytes));
    fs::remove(ground.file_of(100));
    REQUIRE(truncate(ground.file_of(101).c_str(), 50) == 0);
    CHECK(shelf->holds(object(100)));  // nobody looked
    CHECK_FALSE(has(*shelf, object(100)));
    CHECK_FALSE(has(*shelf, object(101)));
    CHECK(has(*shelf, object(102)));
    CHECK_FALSE(shelf->holds(object(100)));
    CHECK_FALSE(shelf->holds(object(101)));
    CHECK(shelf->usage().bytes == 102);
    CHECK(ground.bytes_on_disk() == 102);
    put(*shelf, object(100));
    CHECK(has(*shelf, object(100)));
}

TEST_CASE("shelf: somebody who empties it, folders and all, costs only what it held",
          "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    put(*shelf, object(100));
    fs::remove_all(ground.settings.path);
    CHECK_FALSE(has(*shelf, object(100)));
    put(*shelf, object(100));
    CHECK(has(*shelf, object(100)));

    fs::remove_all(ground.settings.path);
    std::ofstream(ground.settings.path) << "a file";
    CHECK_FALSE(shelf->begin(object(101)));
    CHECK(shelf->usage().bytes == 100);  // nobody looked; the failed one is not counted
}

TEST_CASE("shelf: a file that can not be opened just now stays counted", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    put(*shelf, object(100));
    const std::string file = ground.file_of(100);
    fs::remove(file);
    fs::create_symlink("elsewhere", file);  // ELOOP, as EMFILE would be
    CHECK_FALSE(shelf->find(object(100)));
    CHECK(shelf->holds(object(100)));
    shelf->drop(object(100));
    CHECK_FALSE(shelf->holds(object(100)));
    put(*shelf, object(100));
    CHECK(has(*shelf, object(100)));
}

TEST_CASE("shelf: what is dropped is gone", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    put(*shelf, object(100));
    put(*shelf, object(101));
    shelf->drop(object(100));
    shelf->drop(object(105));  // was not there
    CHECK_FALSE(shelf->holds(object(100)));
    CHECK_FALSE(has(*shelf, object(100)));
    CHECK(has(*shelf, object(101)));
    CHECK(ground.bytes_on_disk() == 101);
    CHECK(shelf->usage().evictions == 0);
}

TEST_CASE("shelf: what is put twice is there once", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    const auto first = shelf->begin(object(100));
    const auto second = shelf->begin(object(100));
    REQUIRE(first);
    REQUIRE(second);
    for (const auto* filling : {&first, &second}) {
        REQUIRE((**filling)->append(content_of(object(100))));
        REQUIRE((**filling)->commit(digest_of(object(100))));
    }
    CHECK(shelf->usage().bytes == 100);
    CHECK(shelf->usage().entries == 1);
    CHECK(ground.bytes_on_disk() == 100);
    CHECK(has(*shelf, object(100)));
}

// ---- restarts

TEST_CASE("shelf: after a restart things are found before the scan", "[storage][shelf]") {
    const Ground ground;
    {
        const auto shelf = ground.open();
        put(*shelf, object(100));
        put(*shelf, slice(0, 50));
    }
    CHECK_FALSE(ground.has("in-use"));
    const auto shelf = ground.open();
    CHECK(ground.has("in-use"));
    CHECK_FALSE(shelf->usage().scanned);
    CHECK_FALSE(shelf->holds(object(100)));
    CHECK(has(*shelf, object(100)));
    CHECK(shelf->holds(object(100)));
    CHECK(shelf->usage().bytes == 100);
    shelf->scan();
    CHECK(shelf->usage().scanned);
    CHECK(shelf->usage().bytes == 150);
    CHECK(shelf->usage().entries == 2);
    CHECK(shelf->holds(slice(0, 50)));
}

TEST_CASE("shelf: after a restart the order of eviction is that of before", "[storage][shelf]") {
    const Ground ground;
    // In which order they were used; those of the second list were wanted twice.
    const Sizes once{107, 101, 105, 103};
    const Sizes again{104, 108, 102, 106};
    {
        const auto shelf = ground.open();
        for (std::uint64_t bytes = 101; bytes <= 108; ++bytes)
            put(*shelf, object(bytes));
    }
    std::int64_t used_s = 1'700'000'000;
    for (const std::uint64_t bytes : again)
        set_times(ground.file_of(bytes), ++used_s, 1'600'000'000);
    for (const std::uint64_t bytes : once)
        set_times(ground.file_of(bytes), ++used_s, 1'800'000'000);

    const auto shelf = ground.open();
    REQUIRE(has(*shelf, object(107)));  // before the scan, so after all others
    shelf->scan();
    const Sizes expected{101, 105, 103, 104, 108, 102, 106, 107};
    Sizes evicted;
    std::vector<std::unique_ptr<Shelf::Filling>> fillings;
    for (std::uint64_t i = 0; i < 16; ++i) {  // each evicts one at most
        auto filling = shelf->begin(slice(i, 60));
        REQUIRE(filling);
        fillings.push_back(std::move(*filling));
        for (const std::uint64_t bytes : expected) {
            if (!shelf->holds(object(bytes)) && std::ranges::find(evicted, bytes) == evicted.end())
                evicted.push_back(bytes);
        }
    }
    CHECK(evicted == expected);
}

TEST_CASE("shelf: real uses survive a restart", "[storage][shelf]") {
    const Ground ground;
    {
        const auto shelf = ground.open();
        for (const std::uint64_t bytes : Sizes{200, 201, 202, 203})
            put(*shelf, object(bytes));
        REQUIRE(has(*shelf, object(201)));
    }
    const auto shelf = ground.open();
    shelf->scan();
    for (std::uint64_t i = 0; i < 10; ++i)
        put(*shelf, slice(i, 210));
    CHECK(held(*shelf, {200, 201, 202, 203}) == Sizes{201});
}

TEST_CASE("shelf: a limit that was lowered holds after the scan", "[storage][shelf]") {
    Ground ground;
    {
        const auto shelf = ground.open();
        for (const std::uint64_t bytes : Sizes{200, 201, 202, 203})
            put(*shelf, object(bytes));
    }
    ground.settings.size_bytes = 500;
    const auto shelf = ground.open();
    shelf->scan();
    CHECK(shelf->usage().bytes <= 500);
    CHECK(shelf->usage().entries == 2);
    CHECK(ground.bytes_on_disk() == shelf->usage().bytes);
}

TEST_CASE("shelf: a scan that is stopped ends early", "[storage][shelf]") {
    const Ground ground;
    const auto shelf = ground.open();
    shelf->stop_scan();
    shelf->scan();
    CHECK_FALSE(shelf->usage().scanned);
}

TEST_CASE("shelf: a scan takes files that were cut, and lets foreign ones be", "[storage][shelf]") {
    const Ground ground;
    {
        const auto shelf = ground.open();
        put(*shelf, object(100));
        put(*shelf, object(101));
    }
    REQUIRE(truncate(ground.file_of(101).c_str(), 50 + kDigestBytes) == 0);
    const std::string mine = fs::path(ground.file_of(100)).filename();
    const std::string foreign[] = {
        "README",
        "00/README",
        "00/.hidden",
        "00/0123456789abcdef0123456789abcdef",
        "00/0123456789abcdef0123456789abcdef-",
        "00/0123456789abcdef0123456789abcdef-0-",
        "00/0123456789abcdef0123456789abcdeg-0-3",
        "00/0123456789abcdef0123456789abcdef-0-3 ",
        "00/0123456789abcdef0123456789abcdef-0-3",  // in the folder of others
        "01/0123456789abcdef0123456789ABCDEF-0-3",  // not how we write it
        "01/0123456789abcdef0123456789abcdef-00-3",
    };
    for (const std::string& name : foreign)
        ground.write(name, "abc");
    fs::create_directory(ground.path("01/0123456789abcdef0123456789abcdef-0-1000"));
    fs::create_symlink(ground.path("README"),
                       ground.path("01/0123456789abcdef0123456789abcde0-0-3"));
    const auto shelf = ground.open();
    shelf->scan();
    CHECK(shelf->usage().entries == 1);
    CHECK(shelf->usage().bytes == 100);
    CHECK(ground.files_of(50).empty());
    for (const std::string& name : foreign) {
        CAPTURE(name);
        CHECK(ground.has(name));
    }
    CHECK(has(*shelf, object(100)));
}

TEST_CASE("shelf: what dead processes were filling is removed, what living ones fill is not",
          "[storage][shelf]") {
    const Ground ground;
    static_cast<void>(ground.open());
    const pid_t dead = fork();
    if (dead == 0) _exit(0);
    REQUIRE(dead > 0);
    REQUIRE(waitpid(dead, nullptr, 0) == dead);
    const std::string of_dead = fmt::format("partial/{}-1.part", dead);
    const std::string of_earlier = fmt::format("partial/{}-7.part", getpid());  // had our number
    const std::string of_living = fmt::format("partial/{}-1.part", getppid());
    for (const std::string& name : {of_dead, of_earlier, of_living, std::string("partial/x.part")})
        ground.write(name, "some of it");
    const auto shelf = ground.open();
    CHECK_FALSE(ground.has(of_dead));
    CHECK_FALSE(ground.has(of_earlier));
    CHECK_FALSE(ground.has("partial/x.part"));
    CHECK(ground.has(of_living));
}

TEST_CASE("shelf: after a crash of the machine slices are gone, whole objects are not",
          "[storage][shelf]") {
    const Ground ground;
    {
        const auto shelf = ground.open();
        put(*shelf, object(100));
        put(*shelf, slice(0, 50));
        put(*shelf, slice(1, 60));
    }
    struct Case {
        std::string mark;
        bool slices_stay;
    };
    const Case cases[] = {
        {boot_id() + " 4711\n", true},  // only the process crashed
        {"00000000-1111-2222-3333-444444444444 4711\n", false},
    };
    for (const Case& each : cases) {
        CAPTURE(each.mark);
        ground.write("in-use", each.mark);
        const auto shelf = ground.open();
        CHECK(has(*shelf, slice(0, 50)) == each.slices_stay);
        CHECK(has(*shelf, slice(1, 60)) == each.slices_stay);
        CHECK(has(*shelf, object(100)));
    }
}

TEST_CASE("shelf: one that ends leaves the mark of whoever took over", "[storage][shelf]") {
    const Ground ground;
    const std::string mark = boot_id() + " 1\n";
    {
        const auto shelf = ground.open();
        ground.write("in-use", mark);
    }
    CHECK(ground.has("in-use"));
}

TEST_CASE("shelf: a folder that cannot be made is told", "[storage][shelf]") {
    Ground ground;
    const test::Folder folder;
    folder.write("file", "x");
    ground.settings.path = folder.path("file/shelf");
    CHECK_FALSE(Shelf::open(ground.settings));
}

TEST_CASE("shelf: two over one folder see each other's files", "[storage][shelf]") {
    const Ground ground;
    const auto a = ground.open();
    const auto b = ground.open();
    put(*a, object(100));
    put(*b, object(101));
    CHECK(has(*a, object(101)));
    CHECK(has(*b, object(100)));
    a->drop(object(100));
    CHECK(b->holds(object(100)));  // as far as it knows
    CHECK_FALSE(has(*b, object(100)));
    CHECK_FALSE(b->holds(object(100)));
    put(*a, object(102));
    put(*b, object(102));
    CHECK(has(*a, object(102)));
    CHECK(ground.bytes_on_disk() == 203);
}

TEST_CASE("shelf: many threads at once", "[storage][shelf]") {
    const Ground ground;
    {
        const auto before = ground.open();
        for (std::uint64_t bytes = 60; bytes < 70; ++bytes)
            put(*before, object(bytes));
    }
    const auto shelf = ground.open();
    std::atomic<int> wrong = 0;
    const auto work = [&](std::uint64_t thread) {
        for (std::uint64_t i = 0; i < 300; ++i) {
            const ShelfName name = object(50 + (i * 7 + thread * 3) % 30);
            if (i % 50 == 49) shelf->drop(name);
            if (const auto file = shelf->find(name)) {
                std::string content(name.bytes(), '\0');
                if (!(*file)->read(0, content) || content != content_of(name)) ++wrong;
                continue;
            }
            const auto filling = shelf->begin(name);
            if (!filling) continue;  // full of what others fill
            if (!(*filling)->append(content_of(name))) ++wrong;
            if (i % 5 != 4 && !(*filling)->commit(digest_of(name))) ++wrong;
        }
    };
    {
        std::vector<std::jthread> threads;
        for (std::uint64_t thread = 0; thread < 4; ++thread)
            threads.emplace_back(work, thread);
        threads.emplace_back([&] { shelf->scan(); });
    }
    CHECK(wrong == 0);
    put(*shelf, object(100));
    CHECK(shelf->usage().bytes <= 1000);
}
