#include "proxy/http/body_source.h"

#include <array>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::http;
using Step = BodySource::Step;

namespace {

class SourceFile {
  public:
    explicit SourceFile(const std::string& content) {
        const int fd = mkstemp(path_.data());
        REQUIRE(fd >= 0);
        REQUIRE(write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
        close(fd);
    }
    ~SourceFile() { unlink(path_.c_str()); }
    const std::string& path() const { return path_; }

    // `delay_ms` makes it look as if it were not in memory.
    std::shared_ptr<const storage::OpenFile> open(std::uint64_t delay_ms = 0) const {
        const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat status{};
        REQUIRE(fstat(fd, &status) == 0);
        return std::make_shared<const storage::OpenFile>(fd, storage::FileIdentity::of(status),
                                                         delay_ms);
    }

  private:
    std::string path_ = "/tmp/tidepool-source-XXXXXX";
};

// Has what was put into it.
class FakeIncoming final : public Incoming {
  public:
    View look(std::uint64_t offset) override {
        const std::string_view rest = std::string_view(arrived).substr(offset);
        return {.bytes = rest.size(), .text = rest};
    }
    loop::Task<bool> more(std::uint64_t) override { co_return true; }
    std::string arrived;
};

// All that can be had in pieces of at most `most` bytes, and why there is no more.
std::pair<std::string, Step> take_all(BodySource& source, std::size_t most) {
    std::string got;
    while (true) {
        const BodySource::Look seen = source.look(most, 1);
        if (seen.step != Step::ready) return {got, seen.step};
        CHECK((seen.bytes > 0 && seen.bytes <= most));
        const std::size_t before = got.size();
        got.resize(before + seen.bytes);
        if (!source.take({got.data() + before, seen.bytes})) return {got, Step::spoilt};
    }
}

std::string letters(std::size_t count) {
    std::string text(count, ' ');
    for (std::size_t i = 0; i < count; ++i)
        text[i] = static_cast<char>('a' + i * 7 % 26);
    return text;
}

}  // namespace

TEST_CASE("a body is taken in pieces of any size") {
    const std::string content = letters(200'000);
    const SourceFile file(content);
    const std::string memory = letters(1000);
    Response response;
    response.shared_body = memory;
    response.parts.emplace_back("between");
    response.parts.emplace_back(FilePart{file.open(), nullptr, 10, 150'000});
    response.parts.emplace_back(std::string());
    response.parts.emplace_back(FilePart{file.open(), nullptr, 0, 0});
    response.parts.emplace_back("end");
    response.body_bytes = memory.size() + 7 + 150'000 + 3;
    const std::string whole = memory + "between" + content.substr(10, 150'000) + "end";
    for (const std::size_t most : {1UL, 7UL, 1000UL, 16'384UL, 1'000'000UL}) {
        BodySource source;
        source.begin(response, true, 0);
        CHECK(source.left() == whole.size());
        const auto [got, step] = take_all(source, most);
        CHECK(got == whole);
        CHECK(step == Step::end);
        CHECK(source.left() == 0);
    }
    BodySource source;
    source.begin(response, false, 0);
    CHECK(source.look(10, 1).step == Step::end);
    CHECK(source.left() == 0);
}

TEST_CASE("what is not in memory is read by somebody else") {
    const std::string content = letters(150'000);
    const SourceFile file(content);
    Response response;
    response.parts.emplace_back(FilePart{file.open(1), nullptr, 5, 140'000});
    response.body_bytes = 140'000;
    BodySource source;
    source.begin(response, true, 0);
    std::string got;
    unsigned reads = 0;
    while (true) {
        const auto [more, step] = take_all(source, 16'384);
        got += more;
        if (step == Step::end) break;
        REQUIRE(step == Step::unread);
        ++reads;
        const UnreadChunk chunk = source.chunk(1'000'000);
        CHECK(chunk.offset == 5 + got.size());
        CHECK_FALSE(source.has_chunk());
        auto read = chunk.read();
        REQUIRE(read);
        source.chunk_read(std::move(*read));
    }
    CHECK(got == content.substr(5, 140'000));
    CHECK(reads == 3);
    CHECK_FALSE(source.has_chunk());
}

TEST_CASE("of what is not in memory only so much is kept as its reader takes") {
    const std::string content = letters(150'000);
    const SourceFile file(content);
    Response response;
    response.parts.emplace_back(FilePart{file.open(1), nullptr, 5, 140'000});
    response.body_bytes = 140'000;
    BodySource source;
    source.begin(response, true, 0);
    const auto fill = [&source](std::uint64_t wanted) {
        REQUIRE(source.look(1, 1).step == Step::unread);
        auto read = source.chunk(wanted).read();
        REQUIRE(read);
        const std::size_t bytes = read->size();
        source.chunk_read(std::move(*read));
        return bytes;
    };
    std::string got;
    const auto take = [&](std::size_t bytes) {
        REQUIRE(source.look(bytes, 1).bytes == bytes);
        got.resize(got.size() + bytes);
        REQUIRE(source.take({got.data() + got.size() - bytes, bytes}));
    };
    CHECK(fill(1) == 4096);
    take(1);
    CHECK_FALSE(source.drop_chunk());  // so little is kept
    take(4095);
    CHECK_FALSE(source.has_chunk());
    CHECK(fill(50'000) == 50'000);
    take(1000);
    CHECK(source.drop_chunk());
    CHECK_FALSE(source.has_chunk());
    CHECK(fill(50'000) == 50'000);  // from where it was dropped
    take(50'000);
    CHECK(fill(1'000'000) == 65'536);
    take(65'536);
    CHECK(fill(1'000'000) == 140'000 - got.size());
    take(140'000 - got.size());
    CHECK(source.look(1, 1).step == Step::end);
    CHECK(got == content.substr(5, 140'000));
}

TEST_CASE("what has not arrived is waited for") {
    auto incoming = std::make_shared<FakeIncoming>();
    Response response;
    response.parts.emplace_back("head ");
    response.parts.emplace_back(IncomingPart{incoming, 2, 6});
    response.body_bytes = 11;
    BodySource source;
    source.begin(response, true, 0);
    incoming->arrived = "xx";
    CHECK(take_all(source, 100) == std::pair<std::string, Step>("head ", Step::starved));
    CHECK(source.incoming_offset() == 2);
    incoming->arrived = "xxabc";
    CHECK(take_all(source, 2) == std::pair<std::string, Step>("abc", Step::starved));
    CHECK(source.incoming_offset() == 5);
    incoming->arrived = "xxabcdefgh";  // more than is wanted
    CHECK(take_all(source, 100) == std::pair<std::string, Step>("def", Step::end));
}

TEST_CASE("a file that is rewritten or cut while it is taken spoils the body") {
    const std::string content = letters(300'000);
    for (const bool is_cut : {false, true}) {
        const SourceFile file(content);
        Response response;
        response.parts.emplace_back(FilePart{file.open(), nullptr, 0, content.size()});
        response.body_bytes = content.size();
        BodySource source;
        source.begin(response, true, 0);
        std::array<char, 1000> piece{};
        REQUIRE(source.look(piece.size(), 1).step == Step::ready);
        REQUIRE(source.take(piece));
        if (is_cut) {
            REQUIRE(truncate(file.path().c_str(), 100) == 0);
        } else {
            std::ofstream(file.path(), std::ios::in | std::ios::out) << "other";
        }
        // Within the same turn and a few pages it is not looked at again.
        CHECK(source.look(1000, 2).step == Step::spoilt);
    }
}
