#include "conf/document.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

std::string repeated(std::string_view part, std::size_t times) {
    std::string all;
    for (std::size_t i = 0; i < times; ++i)
        all += part;
    return all;
}

// Brackets around nothing.
std::string lists(std::size_t depth, const std::string& between = "") {
    return repeated("[" + between, depth) + repeated(between + "]", depth);
}

std::string problem_in(const std::string& toml) {
    const auto document = parse_document(toml, "t.toml");
    return document ? "" : document.error().back().text();
}

// "LINE:COLUMN KEY of LINE" for each.
std::vector<std::string> duplicates_in(const std::string& toml) {
    const auto document = parse_document(toml, "t.toml");
    REQUIRE(document);
    std::vector<std::string> found;
    for (const Problem& each : document->duplicates) {
        const std::size_t line = each.message.find("line ") + 5;
        found.push_back(std::to_string(each.line) + ":" + std::to_string(each.column) + " " +
                        each.key + " of " +
                        each.message.substr(line, each.message.find(' ', line) - line));
    }
    return found;
}

const std::string kTooDeep = ": is nested deeper than 32 levels";

}  // namespace

TEST_CASE("document: what lies deeper than 32 levels is refused with its line", "[conf]") {
    struct Case {
        std::string toml;
        unsigned line;
    };
    const Case cases[] = {
        {"a = " + lists(33), 1},
        {"\n\na = " + lists(33), 3},
        {"a = " + lists(33, "\n"), 33},
        {"a = " + repeated("{a=", 33) + "1" + repeated("}", 33), 1},
        {"a = " + repeated("{a=[", 17) + repeated("]}", 17), 1},
        {"a" + repeated(".a", 33) + " = 1", 1},
        {"\"a\"" + repeated(" . 'a'", 33) + " = 1", 1},
        {"[a" + repeated(".a", 32) + "]", 1},
        {"[[a" + repeated(".a", 31) + "]]", 1},
        // No part of these is too deep, but together they are.
        {"[a" + repeated(".a", 19) + "]\nx = 1\ny" + repeated(".y", 13) + " = 1", 3},
        {"[a" + repeated(".a", 19) + "] # x\n  y = " + lists(13), 2},
        {"a = [1, [2, 3],\n{b" + repeated(".c", 20) + " = " + lists(11) + "}]", 2},
        {"a = [1.5, 'x', " + lists(32) + "]", 1},
        // What looks like an end of nesting is text, or the text has ended.
        {"a = [\"]\", " + lists(32) + "]", 1},
        {"a = ['\\', " + lists(32) + "]", 1},
        {"a = [\"\\\"]\", " + lists(32) + "]", 1},
        {"a = [\"\", " + lists(32) + "]", 1},
        {"a = [ # ]\n" + lists(32) + "]", 2},
        {"a = [\"\"\"\n]\"\\\"\"\"\"\"\", " + lists(32) + "]", 2},
        {"a = ['''\n]''\\''''', " + lists(32) + "]", 2},
        {"a = '''x'''\n[b]\nc = " + lists(33), 3},
        // Ended wrongly, and megabytes deep: the library never sees them.
        {"a = " + repeated("[", 900'000), 1},
        {"a = " + repeated("{a=", 300'000), 1},
        {"a = " + repeated("[\n{a.a.a.a=", 80'000), 8},
        {"a" + repeated(".a", 400'000), 1},
        {"[" + repeated("a.", 500'000), 1},
    };
    for (const auto& [toml, line] : cases) {
        INFO(toml.substr(0, 200));
        CHECK(problem_in(toml) == "t.toml:" + std::to_string(line) + kTooDeep);
    }
}

TEST_CASE("document: up to 32 levels are read, however long a line", "[conf]") {
    const std::string cases[] = {
        "a = " + lists(32),
        "a = " + lists(32) + "\nb = " + lists(32),
        "a = [" + lists(31) + ", " + lists(31) + "]",
        "a = " + lists(32, "\n"),
        "a" + repeated(".a", 32) + " = 1",
        "a" + repeated(".a", 31) + " = 1.5",
        "[a" + repeated(".a", 31) + "]\n[b" + repeated(".b", 31) + "]",
        "[[a]]\nx" + repeated(".x", 30) + " = 1\n[[a]]\nx" + repeated(".x", 30) + " = 1",
        "a = \"" + repeated("[.{", 100) + "\"",
        "a = '" + repeated("[.{", 100) + "'",
        "a = \"\"\"\n" + repeated("[.{\n", 100) + "\"\"\"",
        "a = '''\n" + repeated("[.{\n", 100) + "'''",
        "# " + repeated("[.{", 100) + "\na = 1 # " + repeated("[.{", 100),
        "\"a" + repeated(".", 100) + "\" = 1",
        "a = [" + repeated("1.5, ", 5'000) + "1.5]",
        "a = [" + repeated("{b.c = 1.5},\n", 5'000) + "]",
        repeated("[[a.b]]\nc.d = 1.5\n", 5'000),
    };
    for (const std::string& toml : cases) {
        INFO(toml.substr(0, 200));
        CHECK(problem_in(toml).empty());
    }
}

TEST_CASE("document: what is set twice is found, and the first holds", "[conf]") {
    using Found = std::vector<std::string>;
    struct Case {
        std::string toml;
        Found found;
    };
    const Case cases[] = {
        {"a = 1\na = 2\n b = 3\n\ta = 4", {"2:1 a of 1", "4:2 a of 1"}},
        {"\xEF\xBB\xBF"
         "a = 1\na = 2",
         {"2:1 a of 1"}},
        {"a = 1\r\na = 2\r\n", {"2:1 a of 1"}},
        {"a=1 # a=1\n# a=1\na=2 # again", {"3:1 a of 1"}},
        {"a = 1\n\"a\" = 2\n'a' = 3", {"2:1 a of 1", "3:1 a of 1"}},
        {"a.b = 1\na . \"b\" = 2", {"2:1 a.b of 1"}},
        {"[t]\na.b = 1\na.b = 2", {"3:1 t.a.b of 2"}},
        {"\"a.b\" = 1\n\"a.b\" = 2", {"2:1 \"a.b\" of 1"}},
        // Values of several lines.
        {"a = [\n1, # ]\n[2], ']']\na = [\n3]\nb = 1", {"4:1 a of 1"}},
        {"a = \"\"\"\na = 1\n\"\"\"\na = '''\na = 1\n'''\nb = 1\nb = 2",
         {"4:1 a of 1", "8:1 b of 7"}},
        {"a = { b = 1, c = [1,\n2] }\na = 1", {"3:1 a of 1"}},
        {"a = \"\\\"\" # \"\na = '\\'", {"2:1 a of 1"}},
        // Tables.
        {"[t]\na = 1\n[u]\na = 1\n[t]\na = 2\nb = 3\n[v]\nb = 1\nb = 2",
         {"5:1 t of 1", "6:1 t.a of 2", "10:1 v.b of 9"}},
        {"[t]\n[ t ]\n[ \"t\" ] # t", {"2:1 t of 1", "3:1 t of 1"}},
        {"[t.u]\na = 1\n[t.u]\na = 2", {"3:1 t.u of 1", "4:1 t.u.a of 2"}},
        {"[[l]]\na = 1\na = 2\n[l.t]\na = 1\n[[l]]\na = 1\n[l.t]\na = 1\n[l.t]",
         {"3:1 l[1].a of 2", "10:1 l[2].t of 8"}},
        {"[[l.m]]\na = 1\n[[l.m]]\na = 1\na = 2", {"5:1 l.m[2].a of 4"}},
        // These are none.
        {"a = 1\n[t]\na = 1\n[u]\na = 1\n[t.v]\na = 1", {}},
        {"\"a.b\" = 1\na.b = 2", {}},
        {"a = '''x'''\nb = \"a = 1\"\nc = 'a = 1'", {}},
        {"[[l]]\na = 1\n[[l]]\na = 1\n[[l]]\na = 1", {}},
        {"[t.u]\na = 1\n[t]\na = 1", {}},
        {"a = [{b = 1}, {b = 1}]", {}},
        {"", {}},
    };
    for (const auto& [toml, found] : cases) {
        INFO(toml);
        CHECK_THAT(duplicates_in(toml), Catch::Equals(found));
    }
    const auto document = parse_document("a = 1\na = 2\nb = 3\n[t]\nc = 4\n[t]\nd = 5", "t.toml");
    REQUIRE(document);
    CHECK(find_node(document->root, "a")->integer == 1);
    CHECK(find_node(document->root, "b")->place.line == 3);
    CHECK(find_node(document->root, "t.c")->integer == 4);
    CHECK(find_node(document->root, "t.d") == nullptr);
}

TEST_CASE("document: what is no TOML is named behind what is set twice before it", "[conf]") {
    const std::string cases[] = {"a = 1\na = 2\nb = ", "a = 1\na = 2\n[b",
                                 "a = 1\na = 2\n= 3",  "a = 1\na = 2\nb = [1",
                                 "a = 1\na = 2\nb 3",  "a = 1\na = 2\n\"b\n"};
    for (const std::string& toml : cases) {
        INFO(toml);
        const auto document = parse_document(toml, "t.toml");
        REQUIRE_FALSE(document);
        REQUIRE(document.error().size() == 2);
        CHECK(document.error().front().text() ==
              "t.toml:2:1: a: is set on line 1 already: remove one of them");
        CHECK_THAT(document.error().back().text(), Catch::Contains("not TOML"));
    }
    // What the scan leaves to the library.
    for (const char* const toml :
         {"a = {b = 1, b = 2}", "a = 1\na.b = 2", "[[a]]\n[a]", "[a]\n[[a]]"}) {
        INFO(toml);
        CHECK_THAT(problem_in(toml), Catch::Contains("not TOML"));
    }
}
