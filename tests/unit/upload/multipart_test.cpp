#include "proxy/upload/multipart.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::upload;
using Event = MultipartReader::Event;

namespace {

struct Part {
    PartHead head{};
    std::string content{};
    bool ended = false;
    bool operator==(const Part&) const = default;
};

struct Form {
    std::vector<Part> parts{};
    int ends = 0;
    bool finished = false;
    std::string error{};
    bool operator==(const Form&) const = default;
};

// True where the reader is at its end or has failed.
void read_piece(MultipartReader& reader, std::string_view piece, Form& form) {
    while (true) {
        const std::size_t before = piece.size();
        const Event event = reader.next(piece);
        REQUIRE(piece.size() <= before);
        if (event == Event::need_more) {
            REQUIRE(piece.empty());
            REQUIRE(reader.content().empty());
            return;
        }
        if (event == Event::part_begin) {
            form.parts.push_back({reader.head(), "", false});
        } else if (event == Event::content) {
            REQUIRE_FALSE(reader.content().empty());
            REQUIRE_FALSE(form.parts.empty());
            REQUIRE_FALSE(form.parts.back().ended);
            form.parts.back().content += reader.content();
        } else if (event == Event::part_end) {
            form.parts.back().ended = true;
        } else if (event == Event::end) {
            ++form.ends;
        } else {
            form.error = reader.error();
            REQUIRE_FALSE(form.error.empty());
            return;
        }
    }
}

// In pieces of `step` bytes, each in memory of its own, so that a sanitizer sees who reads beyond.
Form read_in_steps(std::string_view text, std::string_view boundary, std::size_t step,
                   MultipartLimits limits = {}) {
    MultipartReader reader(boundary, limits);
    Form form;
    while (!text.empty()) {
        const std::string_view next = text.substr(0, step);
        const std::vector<char> piece(next.begin(), next.end());
        text.remove_prefix(piece.size());
        read_piece(reader, {piece.data(), piece.size()}, form);
    }
    form.finished = reader.finished();
    return form;
}

// As a whole, in pieces of all small sizes, and cut in two at every place: always the same.
Form read_all_ways(std::string_view text, std::string_view boundary = "b",
                   MultipartLimits limits = {}) {
    Form whole = read_in_steps(text, boundary, std::max<std::size_t>(text.size(), 1), limits);
    for (std::size_t step = 1; step <= 9; ++step) {
        CAPTURE(step);
        CHECK(read_in_steps(text, boundary, step, limits) == whole);
    }
    for (std::size_t at = 0; at <= text.size() && text.size() < 1000; ++at) {
        MultipartReader reader(boundary, limits);
        Form form;
        read_piece(reader, text.substr(0, at), form);
        read_piece(reader, text.substr(at), form);
        form.finished = reader.finished();
        if (form != whole) FAIL_CHECK("cut at " << at << " it is another form");
    }
    return whole;
}

std::string head(std::string_view name) {
    return "Content-Disposition: form-data; name=\"" + std::string(name) + "\"\r\n\r\n";
}

std::string part(std::string_view name, std::string_view content) {
    return "--b\r\n" + head(name) + std::string(content) + "\r\n";
}

Part read_part(std::string_view name, std::string_view content) {
    return {{std::string(name), {}, ""}, std::string(content), true};
}

Form form_of(std::vector<Part> parts) {
    return {std::move(parts), 1, true, ""};
}

// One part with this content.
void check_content(std::string_view content) {
    CAPTURE(content);
    CHECK(read_all_ways(part("a", content) + "--b--\r\n") == form_of({read_part("a", content)}));
}

void check_error(std::string_view text, std::string_view says, MultipartLimits limits = {}) {
    CAPTURE(text.substr(0, 200));
    const Form form = read_all_ways(text, "b", limits);
    CHECK_THAT(form.error, Catch::Contains(std::string(says)));
    CHECK_FALSE(form.finished);
    CHECK(form.ends == 0);
}

}  // namespace

TEST_CASE("multipart: what a browser sends", "[upload][multipart]") {
    const std::string boundary = "----WebKitFormBoundaryE19zNvXGzXaLvS5C";
    const std::string text =
        "--" + boundary +
        "\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nabc.def\r\n--" + boundary +
        "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n"
        "Content-Type: image/png\r\n\r\n\x89PNG\r\n\x1A\n\r\n--" +
        boundary + "--\r\n";
    CHECK(read_all_ways(text, boundary) ==
          form_of({read_part("token", "abc.def"),
                   {{"file", "a.png", "image/png"}, "\x89PNG\r\n\x1A\n", true}}));
}

TEST_CASE("multipart: contents of all kinds come out as they went in", "[upload][multipart]") {
    for (const char* content : {"x",           "\r",           "\n",
                                "\r\n",        "\r\n\r\n",     "-",
                                "--",          "\r\r",         "\r\n-",
                                "\r\n--",      "\r\r\n--",     "\n--b\r\n",
                                "\r\n-\r\n--", "\r\n--\r\n",   "two\r\nlines",
                                "--b\r",       "\r\n--c\r\n",  "\r\n--B--",
                                "\r-\n--b--",  "\r\n --b\r\n", "ends with \r\n",
                                "\r\n--\r"}) {
        check_content(content);
    }
    check_content(std::string_view("\0\r\n\0--b\0", 9));
    std::string all;
    for (int c = 0; c < 256; ++c)
        all += static_cast<char>(c);
    check_content(all);
}

TEST_CASE("multipart: what only looks like a boundary is content", "[upload][multipart]") {
    for (const char* content :
         {"x\r\n--bx", "x\r\n--b-", "x\r\n--b-x", "x\r\n--b -", "x\r\n--b --", "x\r\n--b \rx",
          "x\r\n--b\n", "x\r\n--b\r", "x\r\n--b\r\r", "x\r\n--bb--", "x\r\n--bb\r\n",
          "\r\n--b.\r\n", "x\r\n--b\r\r\n--bx", "x\r\n--b \t \r\r\n--b-\r\n--bx",
          "x\r\n\r\n--bx\r\n--by", "x\r\n--\r\n--bx", "x\r\n-\r\n--bx", "x\r\r\n--bx",
          "x\r\n\r\n--\r\n--b-\r\n"}) {
        check_content(content);
    }
}

TEST_CASE("multipart: a boundary within another's beginning", "[upload][multipart]") {
    const std::string text = "--ab\r\n" + head("f") + "1\r\n--a\r\n2\r\n--ab-\r\n3\r\n--ab--";
    CHECK(read_all_ways(text, "ab") == form_of({read_part("f", "1\r\n--a\r\n2\r\n--ab-\r\n3")}));
    // One that ends in hyphens, as its closing does.
    const std::string hyphens = "--a--\r\n" + head("f") + "1\r\n--a-\r\n--a--x\r\n--a----";
    CHECK(read_all_ways(hyphens, "a--") == form_of({read_part("f", "1\r\n--a-\r\n--a--x")}));
}

TEST_CASE("multipart: blanks may follow a boundary", "[upload][multipart]") {
    const std::string text =
        "--b \t \r\n" + head("a") + "1\r\n--b\t\r\n" + head("c") + "2\r\n--b-- ";
    CHECK(read_all_ways(text) == form_of({read_part("a", "1"), read_part("c", "2")}));
    const std::string most = "--b" + std::string(127, ' ') + "\r\n" + head("a") + "1\r\n--b--";
    CHECK(read_all_ways(most) == form_of({read_part("a", "1")}));
    check_error("--b" + std::string(129, ' ') + "\r\n" + head("a") + "1\r\n--b--", "128 blanks");
    check_error(part("a", "x\r\n--b" + std::string(5000, '\t')) + "--b--", "128 blanks");
}

TEST_CASE("multipart: parts without content", "[upload][multipart]") {
    CHECK(read_all_ways(part("a", "") + part("c", "") + "--b--") ==
          form_of({read_part("a", ""), read_part("c", "")}));
    // RFC 2046, 5.1.1: the line end before a delimiter may be that of the head.
    CHECK(read_all_ways("--b\r\n" + head("a") + "--b\r\n" + head("c") + "--b--") ==
          form_of({read_part("a", ""), read_part("c", "")}));
    CHECK(read_all_ways("--b\r\n" + head("a") + "--bx\r\n--b--") ==
          form_of({read_part("a", "--bx")}));
}

TEST_CASE("multipart: no parts at all", "[upload][multipart]") {
    CHECK(read_all_ways("--b--") == form_of({}));
    CHECK(read_all_ways("--b--\r\n") == form_of({}));
    CHECK(read_all_ways("\r\n--b--\r\n") == form_of({}));
}

TEST_CASE("multipart: what is before and behind is skipped", "[upload][multipart]") {
    const Form one = form_of({read_part("a", "1")});
    for (const char* preamble : {"\r\n", "text\r\n", "\r\n\r\n", "--c\r\n", "--bx\r\n", "-\r\n",
                                 "\r\r\n", "\n\r\n", "--b-\r\n", "x--b\r\n\r\n", "--b \rx\r\n"}) {
        CAPTURE(preamble);
        CHECK(read_all_ways(preamble + part("a", "1") + "--b--") == one);
    }
    for (const char* epilogue :
         {"\r\n", "x", "-", "\r\ntext", "\r\n--b\r\n", "\r\n--b--\r\n",
          "\r\n--b\r\nContent-Disposition: form-data; name=z\r\n\r\n1\r\n"}) {
        CAPTURE(epilogue);
        CHECK(read_all_ways(part("a", "1") + "--b--" + epilogue) == one);
    }
    const std::string long_epilogue = part("a", "1") + "--b--" + std::string(100'000, '\r');
    CHECK(read_in_steps(long_epilogue, "b", 4096) == one);
}

TEST_CASE("multipart: the text before the first part is bounded", "[upload][multipart]") {
    const std::string rest = "\r\n" + part("a", "1") + "--b--";
    CHECK(read_all_ways(std::string(8192, 'x') + rest) == form_of({read_part("a", "1")}));
    check_error(std::string(8193, 'x') + rest, "8192");
    check_error(std::string(20'000, '\r') + rest, "8192");
    check_error(std::string(20'000, '\n'), "8192");
}

TEST_CASE("multipart: a form that is cut off is not finished", "[upload][multipart]") {
    const std::string text = "--b\r\n" + head("a") + "one\r\n" + part("c", "two\r\n--bx") + "--b--";
    for (std::size_t length = 0; length < text.size(); ++length) {
        CAPTURE(length);
        const Form form = read_in_steps(text.substr(0, length), "b", 1000);
        CHECK_FALSE(form.finished);
        CHECK(form.ends == 0);
        CHECK(form.error == "");
    }
    CHECK(read_in_steps(text, "b", 1000).finished);
}

TEST_CASE("multipart: heads are bounded", "[upload][multipart]") {
    const MultipartLimits limits{.head_bytes = 100, .parts = 32};
    const std::string start = "Content-Disposition: form-data; name=a\r\nX: ";
    const std::string fits = start + std::string(100 - 4 - start.size(), 'x') + "\r\n\r\n";
    REQUIRE(fits.size() == 100);
    CHECK(read_all_ways("--b\r\n" + fits + "1\r\n--b--", "b", limits) ==
          form_of({read_part("a", "1")}));
    const std::string too_long = start + std::string(100 - 3 - start.size(), 'x') + "\r\n\r\n";
    check_error("--b\r\n" + too_long + "1\r\n--b--", "part 1 is longer than 100", limits);
    check_error("--b\r\n" + std::string(101, 'x'), "part 1 is longer than 100", limits);
    check_error(part("a", "1") + "--b\r\n" + std::string(9000, 'x'), "part 2 is longer than 8192");
}

TEST_CASE("multipart: the number of parts is bounded", "[upload][multipart]") {
    const MultipartLimits limits{.head_bytes = 8192, .parts = 2};
    const std::string two = part("a", "1") + part("c", "2");
    CHECK(read_all_ways(two + "--b--", "b", limits).finished);
    check_error(two + part("d", "3") + "--b--", "more than 2 parts", limits);
    std::string many;
    for (int i = 0; i < 32; ++i)
        many += part("a", "");
    CHECK(read_all_ways(many + "--b--").parts.size() == 32);
    check_error(many + part("a", "") + "--b--", "more than 32 parts");
}

TEST_CASE("multipart: errors say which part and why", "[upload][multipart]") {
    check_error("--b\r\n\r\n1\r\n--b--", "part 1: it has no Content-Disposition");
    check_error(part("a", "1") + "--b\r\nContent-Type: x\r\n\r\n1\r\n--b--",
                "part 2: it has no Content-Disposition");
    check_error(part("a", "1") + "--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--",
                "part 2: its Content-Disposition has no name");
    check_error("--b\r\nX: y\nZ: z\r\n\r\n", "part 1 ends without CR");
    check_error("--b\r\n\n", "part 1 ends without CR");
}

TEST_CASE("multipart: after an error it stays at that", "[upload][multipart]") {
    MultipartReader reader("b");
    std::string_view input = "--b\r\n\r\n";
    while (reader.next(input) != Event::error) {
    }
    const std::string error = reader.error();
    std::string_view more = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n";
    CHECK(reader.next(more) == Event::error);
    CHECK(reader.error() == error);
    CHECK_FALSE(reader.finished());
}

TEST_CASE("multipart: content of one input comes in few pieces", "[upload][multipart]") {
    // Bytes as of a photograph, with a CR now and then.
    std::string content(1'000'000, '\0');
    unsigned state = 1;
    for (char& c : content)
        c = static_cast<char>((state = state * 1'103'515'245 + 12'345) >> 16);
    const std::string text = part("a", content) + "--b--";
    MultipartReader reader("b");
    std::string_view input = text;
    int pieces = 0;
    std::string read;
    for (Event event = reader.next(input); event != Event::need_more; event = reader.next(input)) {
        REQUIRE(event != Event::error);
        if (event != Event::content) continue;
        ++pieces;
        read += reader.content();
    }
    CHECK(reader.finished());
    CHECK(read == content);
    CHECK(pieces <= 3);
}
