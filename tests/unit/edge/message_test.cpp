#include "proxy/edge/message.h"

#include "proxy/edge/directive_list.h"
#include "proxy/edge/words.h"

#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::edge;

TEST_CASE("edge: URLs and paths", "[edge]") {
    struct Row {
        std::string url, host, target, path, query;
    };
    for (const auto& [url, host, target, path, query] : std::vector<Row>{
             {"/a.jpg", "", "/a.jpg", "/a.jpg", ""},
             {"/a.jpg?b=c?d#e", "", "/a.jpg?b=c?d", "/a.jpg", "b=c?d"},
             {"https://Img.example:8443/a?b", "Img.example:8443", "/a?b", "/a", "b"},
             {"HTTP://h", "h", "/", "/", ""},
             {"http://h?x", "h", "/?x", "/", "x"},
             {"/x/http://h/a.jpg", "", "/x/http://h/a.jpg", "/x/http://h/a.jpg", ""}}) {
        CAPTURE(url);
        const auto question = read_question(url);
        REQUIRE(question);
        CHECK(question->host == host);
        CHECK(question->target == target);
        CHECK(question->path() == path);
        CHECK(question->query() == query);
    }
    for (const std::string url : {"", "a.jpg", "ftp://h/a", "http://", "http:///a", "http://u@h/a",
                                  "/a b", "/a\r\nX: y", "http://h\n/a"}) {
        CAPTURE(url);
        CHECK_FALSE(read_question(url));
    }
}

TEST_CASE("edge: fields", "[edge]") {
    CHECK(*read_field("X-Name:  a: b \t") == Field{"x-name", "a: b"});
    CHECK(*read_field("Empty:") == Field{"empty", ""});
    for (const char* line :
         {"", "Name", ": x", "A B: x", "Name : x", "A: b\nC: d", "A: b\r", "A: \x7f"})
        CHECK_FALSE(read_field(line));
    FieldList list;
    list.add("A", "1");
    list.add("b", "2");
    list.add("a", "3");
    CHECK(list.value("a") == "1, 3");
    CHECK(list.has("b"));
    CHECK_FALSE(list.has("c"));
    CHECK(list.value("c").empty());
}

TEST_CASE("edge: heads of answers as people have them", "[edge]") {
    for (const char* head : {"HTTP/1.1 404 Not Found\r\nA: 1\r\nA: 2\r\n\r\nbody: 3\r\n",
                             "HTTP/2 404\nA: 1\nA: 2", "HTTP/1.1 404 \nA: 1\nA: 2\n",
                             "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: x\r\n\r\n"
                             "HTTP/1.1 404 No\r\na: 1\r\na: 2\r\n\r\n"}) {
        CAPTURE(head);
        const auto answer = read_answer(head);
        REQUIRE(answer);
        CHECK(answer->status == 404);
        CHECK(answer->fields.value("a") == "1, 2");
        CHECK(answer->fields.all().size() == 2);
    }
    for (const char* head : {"", "\n", "200 OK", "HTTP/1.1", "HTTP/1.1 20x", "HTTP/1.1 999 x",
                             "HTTP/1.1 200 OK\nnonsense\n", "HTTP/1.1 200 OK\nA: 1\n folded\n",
                             "HTTP/1.1 100 Continue\n\n"}) {
        CAPTURE(head);
        CHECK_FALSE(read_answer(head));
    }
    CHECK_FALSE(read_answer("HTTP/1.1 200 OK\nA: " + std::string(kHeadBytes, 'a') + "\n\n"));
    CHECK(read_answer("HTTP/1.1 200 OK\nA: b\n\n" + std::string(kHeadBytes, 'a')));
}

TEST_CASE("edge: what the origin is asked", "[edge]") {
    auto question = *read_question("https://img.example/a.jpg");
    for (const auto& [name, value] :
         std::vector<std::pair<std::string, std::string>>{{"Accept-Encoding", "zstd"},
                                                          {"Range", "bytes=0-1"},
                                                          {"If-None-Match", "*"},
                                                          {"Connection", "close"},
                                                          {"Accept", "image/*"},
                                                          {"Authorization", "x"}})
        question.fields.add(name, value);
    CHECK(fields_to_origin(question, "127.0.0.1:80") ==
          std::vector<Field>{{"host", "img.example"},
                             {"connection", "Keep-Alive"},
                             {"accept-encoding", "br, gzip"},
                             {"accept", "image/*"},
                             {"authorization", "x"}});
    question.target = "/page";
    CHECK(fields_to_origin(question, "127.0.0.1:80").size() ==
          7);  // with the range and the condition
    CHECK(fields_to_origin(*read_question("/a.jpg"), "127.0.0.1:80").front() ==
          Field{"host", "127.0.0.1:80"});
    question.fields.add("host", "other.example");
    CHECK(fields_to_origin(question, "x").front() == Field{"host", "other.example"});
}

TEST_CASE("edge: directives", "[edge]") {
    const auto list = DirectiveList::parse(
        " Max-Age=60 ,, public, private=\"Set-Cookie, X-A\", no-cache=x-b, s-maxage=, =5, "
        "stale-if-error=1.5, max-age=5");
    CHECK(list.seconds("max-age") == 60);
    CHECK(list.has("public"));
    CHECK(list.is_bare("public"));
    CHECK(list.has("private"));
    CHECK_FALSE(list.is_bare("private"));
    CHECK(list.fields_of("private") == std::vector<std::string>{"set-cookie", "x-a"});
    CHECK(list.fields_of("no-cache") == std::vector<std::string>{"x-b"});
    CHECK_FALSE(list.seconds("s-maxage"));
    CHECK(list.unreadable() == std::vector<std::string>{"s-maxage", "stale-if-error"});
    CHECK_FALSE(list.has(""));
    CHECK_FALSE(list.has("x-a\""));
}

TEST_CASE("edge: durations in words", "[edge]") {
    for (const auto& [seconds, words] :
         std::vector<std::pair<std::int64_t, std::string>>{{0, "0 seconds"},
                                                           {1, "1 second"},
                                                           {59, "59 seconds"},
                                                           {60, "1 minute"},
                                                           {90, "1 minute 30 seconds"},
                                                           {7200, "2 hours"},
                                                           {86400, "1 day"},
                                                           {2592000, "30 days"},
                                                           {31536000, "1 year"},
                                                           {90000, "1 day 1 hour"},
                                                           {90061, "about 1 day 1 hour"},
                                                           {86401, "about 1 day"},
                                                           {3661, "about 1 hour 1 minute"}})
        CHECK(duration_words(seconds) == words);
}
