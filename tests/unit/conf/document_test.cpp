#include "conf/document.h"

#include <string>

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
    const auto root = parse_document(toml, "t.toml");
    return root ? "" : root.error().text();
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
