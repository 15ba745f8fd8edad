#include "proxy/http/response_writer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::http;
using Step = ResponseWriter::Step;

namespace {

// A socket whose peer is read in the same thread.
struct Pair {
    Pair() {
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) ==
                0);
    }
    ~Pair() {
        for (const int end : ends) {
            if (end >= 0) close(end);
        }
    }
    std::string take() {
        std::string got;
        std::array<char, 65536> buffer{};
        for (ssize_t count = 0; (count = read(ends[1], buffer.data(), buffer.size())) > 0;)
            got.append(buffer.data(), static_cast<std::size_t>(count));
        return got;
    }
    std::array<int, 2> ends{};
};

class TemporaryFile {
  public:
    explicit TemporaryFile(const std::string& content) : content_(content) {
        const int fd = mkstemp(path_.data());
        REQUIRE(fd >= 0);
        REQUIRE(write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
        close(fd);
    }
    ~TemporaryFile() { unlink(path_.c_str()); }
    const std::string& path() const { return path_; }

    // `delay_ms` makes it look as if it were not in memory.
    std::shared_ptr<const storage::OpenFile> open(std::uint64_t delay_ms = 0) const {
        const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat status{};
        REQUIRE(fstat(fd, &status) == 0);
        return std::make_shared<storage::OpenFile>(fd, storage::FileIdentity::of(status), delay_ms);
    }

  private:
    std::string path_ = "/tmp/tidepool-unit-XXXXXX";
    std::string content_;
};

std::string pattern(std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i)
        text[i] = static_cast<char>(i * 31 + i / 251);
    return text;
}

// Pushes until done, reading the peer whenever the socket is full; returns all that was sent.
std::string push_all(ResponseWriter& writer, Pair& pair, Step& last) {
    std::string got;
    while (true) {
        last = writer.push(1000);
        if (last == Step::full) {
            got += pair.take();
        } else if (last == Step::unread) {
            auto read = writer.chunk().read();
            REQUIRE(read);
            writer.chunk_read(std::move(*read));
        } else if (last != Step::pause) {
            return got + pair.take();
        }
    }
}

Response with_head(std::string head) {
    Response response;
    response.head = std::move(head);
    return response;
}

}  // namespace

TEST_CASE("response writer: head, tail and body", "[http][writer]") {
    for (const std::size_t head_bytes : {10U, 900U, 1000U, 1100U, 5000U}) {
        for (const std::size_t body_bytes : {0U, 1U, 3000U, 2'000'000U}) {
            CAPTURE(head_bytes, body_bytes);
            Pair pair;
            ResponseWriter writer(pair.ends[0]);
            Response response = with_head(std::string(head_bytes, 'h'));
            const std::string body = pattern(body_bytes);
            response.shared_body = body;
            writer.begin(response, "Date\r\n\r\n", true);
            Step last{};
            CHECK(push_all(writer, pair, last) == response.head + "Date\r\n\r\n" + body);
            CHECK(last == Step::done);
            CHECK(writer.body_bytes_sent() == body_bytes);
            CHECK(writer.bytes_sent() == head_bytes + 8 + body_bytes);

            writer.begin(response, "T", false);  // HEAD
            CHECK(push_all(writer, pair, last) == response.head + "T");
            CHECK(writer.body_bytes_sent() == 0);
        }
    }
}

TEST_CASE("response writer: the first call may be made by others", "[http][writer]") {
    for (const std::size_t body_bytes : {0U, 3000U, 2'000'000U}) {
        CAPTURE(body_bytes);
        Pair pair;
        ResponseWriter writer(pair.ends[0]);
        Response response = with_head(std::string(1100, 'h'));
        const std::string body = pattern(body_bytes);
        response.shared_body = body;
        writer.begin(response, "tail", true, false, true);
        REQUIRE(writer.push(1000) == Step::call);
        CHECK(writer.bytes_sent() == 0);
        CHECK(pair.take().empty());
        loop::make_call(writer.call());
        Step last = writer.called(1000);
        std::string got;
        if (last != Step::done) got = push_all(writer, pair, last);
        got += pair.take();
        CHECK(last == Step::done);
        CHECK(got == std::string(1100, 'h') + "tail" + body);
        CHECK(writer.bytes_sent() == got.size());
    }
    Pair pair;
    Response response = with_head("head");
    ResponseWriter writer(pair.ends[0]);
    for (const auto& [result, step] : {std::pair{-EAGAIN, Step::full}, {-EPIPE, Step::failed}}) {
        writer.begin(response, "tail", true, false, true);
        REQUIRE(writer.push(1000) == Step::call);
        writer.call().result = result;
        CHECK(writer.called(1000) == step);
        CHECK(writer.bytes_sent() == 0);
    }
    writer.begin(response, "tail", true, false, true);
    REQUIRE(writer.push(1000) == Step::call);
    writer.call().result = -EINTR;
    CHECK(writer.called(1000) == Step::done);
    CHECK(pair.take() == "headtail");
}

TEST_CASE("response writer: a file that waited for others is looked at again", "[http][writer]") {
    const std::string content = pattern(200'000);
    for (const std::string text : {"", "text"}) {
        for (const bool is_changed : {false, true}) {
            CAPTURE(text, is_changed);
            const TemporaryFile file(content);
            Pair pair;
            ResponseWriter writer(pair.ends[0]);
            Response response = with_head("head");
            if (!text.empty()) response.parts.emplace_back(text);
            response.parts.emplace_back(FilePart{file.open(), nullptr, 0, content.size()});
            response.body_bytes = text.size() + content.size();
            writer.begin(response, "tail", true, false, true);
            REQUIRE(writer.push(1000) == Step::call);
            if (is_changed) std::ofstream(file.path()) << "something else";
            loop::make_call(writer.call());
            Step last = writer.called(1000);
            std::string got = pair.take();
            if (is_changed) {
                CHECK(last == Step::spoilt);
                CHECK(got == "headtail" + text);
                continue;
            }
            if (last != Step::done) got += push_all(writer, pair, last);
            CHECK(last == Step::done);
            CHECK(got == "headtail" + text + content);
        }
    }
}

TEST_CASE("response writer: a small file leaves with its head, and waits for nobody",
          "[http][writer]") {
    const std::string content = pattern(5'000);
    const TemporaryFile file(content);
    Pair pair;
    ResponseWriter writer(pair.ends[0]);
    Response response = with_head("head");
    response.parts.emplace_back(FilePart{file.open(), nullptr, 0, content.size()});
    response.body_bytes = content.size();
    writer.begin(response, "tail", true, false, true);
    CHECK(writer.push(1000) == Step::done);
    CHECK(pair.take() == "headtail" + content);
}

TEST_CASE("response writer: texts and stretches of files in turn", "[http][writer]") {
    const std::string content = pattern(3'000'000);
    const TemporaryFile file(content);
    for (const std::uint64_t delay_ms : {0U, 1U}) {  // by sendfile, and read by a worker
        CAPTURE(delay_ms);
        Pair pair;
        ResponseWriter writer(pair.ends[0]);
        const auto open = file.open(delay_ms);
        Response response = with_head("head;");
        response.parts.emplace_back("first;");
        response.parts.emplace_back(FilePart{open, nullptr, 0, 10});
        response.parts.emplace_back("second;");
        response.parts.emplace_back(FilePart{open, nullptr, 100'000, 2'500'000});
        response.parts.emplace_back(FilePart{open, nullptr, 2'999'999, 1});
        response.parts.emplace_back("end");
        writer.begin(response, "tail;", true);
        Step last{};
        const std::string expected = "head;tail;first;" + content.substr(0, 10) + "second;" +
                                     content.substr(100'000, 2'500'000) +
                                     content.substr(2'999'999) + "end";
        CHECK((push_all(writer, pair, last) == expected));
        CHECK(last == Step::done);
        CHECK(writer.body_bytes_sent() == expected.size() - 10);
    }
}

TEST_CASE("response writer: a file that changes is not ended as if it were whole",
          "[http][writer]") {
    for (const bool cut : {true, false}) {
        CAPTURE(cut);
        const TemporaryFile file(pattern(8'000'000));
        Pair pair;
        ResponseWriter writer(pair.ends[0]);
        Response response = with_head("head;");
        response.parts.emplace_back(FilePart{file.open(), nullptr, 0, 8'000'000});
        writer.begin(response, "", true);
        REQUIRE(writer.push(1000) == Step::full);
        if (cut) {
            REQUIRE(truncate(file.path().c_str(), 100) == 0);
        } else {
            std::ofstream(file.path(), std::ios::app) << "more";
        }
        Step last{};
        CHECK(push_all(writer, pair, last).size() < 8'000'000);
        CHECK(last == Step::spoilt);
    }
}

TEST_CASE("response writer: a peer that is gone", "[http][writer]") {
    Pair pair;
    ResponseWriter writer(pair.ends[0]);
    const Response response = with_head("head");
    writer.begin(response, "", true);
    close(std::exchange(pair.ends[1], -1));
    CHECK(writer.push(1000) == Step::failed);
}

TEST_CASE("response writer: others get their turn between large files' stretches",
          "[http][writer]") {
    const TemporaryFile file(pattern(6'000'000));
    Pair pair;
    const int size = 16'000'000;
    setsockopt(pair.ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    ResponseWriter writer(pair.ends[0]);
    Response response = with_head("head");
    response.parts.emplace_back(FilePart{file.open(), nullptr, 0, 6'000'000});
    writer.begin(response, "", true);
    Step step = writer.push(1000);
    while (step == Step::full) {  // without the right to a large buffer
        pair.take();
        step = writer.push(1000);
        if (step == Step::done) return;
    }
    CHECK(step == Step::pause);
    CHECK(writer.bytes_sent() < 6'000'000);
}

// ---- bodies that are still arriving

namespace {

// Shows what it was given, up to where it has come.
class Arriving final : public Incoming {
  public:
    struct Piece {
        std::string text;
        std::shared_ptr<const storage::OpenFile> file;  // or these bytes of it
        std::uint64_t file_offset = 0;
        std::uint64_t bytes = 0;
    };
    void add(std::string text) {
        const std::uint64_t bytes = text.size();
        pieces_.push_back({std::move(text), nullptr, 0, bytes});
    }
    void add(std::shared_ptr<const storage::OpenFile> file, std::uint64_t offset,
             std::uint64_t bytes) {
        pieces_.push_back({"", std::move(file), offset, bytes});
    }

    View look(std::uint64_t offset) override {
        REQUIRE(offset >= last_offset_);
        last_offset_ = offset;
        for (const Piece& piece : pieces_) {
            if (offset < piece.bytes) {
                const std::uint64_t left = piece.bytes - offset;
                if (piece.file == nullptr)
                    return {.bytes = left, .text = std::string_view(piece.text).substr(offset)};
                return {.bytes = left,
                        .text = {},
                        .file = piece.file,
                        .file_offset = piece.file_offset + offset};
            }
            offset -= piece.bytes;
        }
        return {};
    }
    loop::Task<bool> more(std::uint64_t) override { co_return false; }

  private:
    std::vector<Piece> pieces_;
    std::uint64_t last_offset_ = 0;
};

}  // namespace

TEST_CASE("response writer: a body that arrives in pieces goes out as it comes", "[http][writer]") {
    const std::string content = pattern(3'000'000);
    const TemporaryFile file(content);
    for (const std::uint64_t delay_ms : {0U, 1U}) {  // by sendfile, and read by a worker
        CAPTURE(delay_ms);
        Pair pair;
        ResponseWriter writer(pair.ends[0]);
        const auto open = file.open(delay_ms);
        const auto source = std::make_shared<Arriving>();
        Response response = with_head("head;");
        response.body_bytes = content.size();
        response.parts.emplace_back(IncomingPart{source, 0, content.size()});
        response.parts.emplace_back("end");
        writer.begin(response, "", true);
        Step last{};
        std::string got = push_all(writer, pair, last);
        CHECK(got == "head;");  // is not kept back for a body that may take long
        REQUIRE(last == Step::starved);
        CHECK(&writer.incoming() == source.get());
        CHECK(writer.incoming_offset() == 0);

        source->add(content.substr(0, 10));
        got += push_all(writer, pair, last);
        CHECK(got == "head;" + content.substr(0, 10));
        REQUIRE(last == Step::starved);
        CHECK(writer.incoming_offset() == 10);
        CHECK(writer.body_bytes_sent() == 10);

        source->add(content.substr(10, 500'000));
        source->add(open, 500'010, 1'499'990);
        got += push_all(writer, pair, last);
        CHECK((got == "head;" + content.substr(0, 2'000'000)));
        REQUIRE(last == Step::starved);
        CHECK(writer.incoming_offset() == 2'000'000);
        CHECK(writer.push(1000) == Step::starved);  // asking again changes nothing

        source->add(open, 2'000'000, 1);
        source->add(content.substr(2'000'001));
        got += push_all(writer, pair, last);
        CHECK((got == "head;" + content + "end"));
        CHECK(last == Step::done);
        CHECK(writer.body_bytes_sent() == content.size() + 3);
    }
}

TEST_CASE("response writer: what has arrived of a small body leaves with the head",
          "[http][writer]") {
    const std::string content = pattern(70'000);
    for (const std::size_t arrived : {std::size_t{1}, std::size_t{69'999}, content.size()}) {
        CAPTURE(arrived);
        Pair pair;
        ResponseWriter writer(pair.ends[0]);
        const auto source = std::make_shared<Arriving>();
        source->add(content.substr(0, arrived));
        Response response = with_head("head;");
        response.body_bytes = content.size() - 7 + 3;
        response.parts.emplace_back(IncomingPart{source, 5, content.size() - 7});
        response.parts.emplace_back("end");
        writer.begin(response, "tail;", true);
        if (arrived < 5) {
            CHECK(writer.push(1000) == Step::starved);
            CHECK(writer.incoming_offset() == 5);
        }
        Step last{};
        std::string got = push_all(writer, pair, last);
        if (arrived < content.size() - 2) {
            CHECK(last == Step::starved);
            CHECK(writer.incoming_offset() == std::max<std::size_t>(arrived, 5));
            source->add(content.substr(arrived));
            got += push_all(writer, pair, last);
        }
        CHECK(last == Step::done);
        CHECK((got == "head;tail;" + content.substr(5, content.size() - 7) + "end"));
        CHECK(writer.body_bytes_sent() == response.body_bytes);
    }
}

TEST_CASE("response writer: of what arrives only the stretch that is asked for goes out",
          "[http][writer]") {
    const std::string content = pattern(300'000);
    const TemporaryFile file(content);
    for (const bool in_file : {false, true}) {
        for (const std::uint64_t delay_ms : {0U, 1U}) {
            CAPTURE(in_file, delay_ms);
            Pair pair;
            ResponseWriter writer(pair.ends[0]);
            const auto source = std::make_shared<Arriving>();
            if (in_file) {
                source->add(file.open(delay_ms), 0, content.size());
            } else {
                source->add(content);
            }
            Response response = with_head("head;");
            response.parts.emplace_back(IncomingPart{source, 5, 200'000});
            response.parts.emplace_back(";");
            response.parts.emplace_back(IncomingPart{source, 250'000, 1});
            response.parts.emplace_back(IncomingPart{source, 260'000, 0});
            writer.begin(response, "", true);
            Step last{};
            CHECK((push_all(writer, pair, last) ==
                   "head;" + content.substr(5, 200'000) + ";" + content.substr(250'000, 1)));
            CHECK(last == Step::done);

            writer.begin(response, "", false);  // HEAD
            CHECK(push_all(writer, pair, last) == "head;");
            CHECK(last == Step::done);
        }
    }
}

TEST_CASE("response writer: what arrives goes no faster than the peer reads", "[http][writer]") {
    const std::string content = pattern(8'000'000);
    Pair pair;
    ResponseWriter writer(pair.ends[0]);
    const auto source = std::make_shared<Arriving>();
    source->add(content);
    Response response = with_head("head;");
    response.parts.emplace_back(IncomingPart{source, 0, content.size()});
    writer.begin(response, "", true);
    REQUIRE(writer.push(1000) == Step::full);
    CHECK(writer.push(1000) == Step::full);
    CHECK(writer.body_bytes_sent() < content.size());
    Step last{};
    CHECK((push_all(writer, pair, last) == "head;" + content));
    CHECK(last == Step::done);
}

TEST_CASE("response writer: what broke while it arrived is not ended as if it were whole",
          "[http][writer]") {
    const std::string content = pattern(1000);
    const TemporaryFile file(content);
    Pair pair;
    ResponseWriter writer(pair.ends[0]);
    const auto source = std::make_shared<Arriving>();
    source->add(file.open(), 0, 1000);
    Response response = with_head("head;");
    response.parts.emplace_back(IncomingPart{source, 0, 1000});
    writer.begin(response, "", true);
    REQUIRE(truncate(file.path().c_str(), 400) == 0);
    Step last{};
    CHECK(push_all(writer, pair, last) == "head;" + content.substr(0, 400));
    CHECK(last == Step::spoilt);

    const auto absent = std::make_shared<Arriving>();
    response.parts.assign(1, IncomingPart{absent, 0, 1000});
    writer.begin(response, "", true);
    CHECK(push_all(writer, pair, last) == "head;");
    CHECK(last == Step::starved);  // and more() says that nothing will come
    CHECK(writer.body_bytes_sent() == 0);

    close(std::exchange(pair.ends[1], -1));
    absent->add(content);
    CHECK(writer.push(1000) == Step::failed);
}
