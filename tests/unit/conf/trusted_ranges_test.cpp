#include "conf/trusted_ranges.h"

#include "conf/settings_reader.h"
#include "tests/support/folder.h"

#include <string>

#include <catch2/catch.hpp>
#include <sys/stat.h>

using namespace tidepool::conf;
using tidepool::test::Folder;

namespace {

ReadSettings read(const std::string& value) {
    return read_settings(
        "[edge]\ntrusted_ranges = " + value + "\n[[pool]]\nname='a'\nbase_path='/a'\n", "t.toml");
}

std::vector<std::string> problems_of(const std::string& value) {
    std::vector<std::string> all;
    for (const Problem& problem : read(value).problems)
        all.push_back(problem.text());
    return all;
}

std::vector<std::string> ranges_of(const std::string& value) {
    const ReadSettings result = read(value);
    for (const Problem& problem : result.problems)
        FAIL_CHECK(problem.text());
    std::vector<std::string> all;
    for (const Cidr& range : result.settings.edge.trusted_ranges)
        all.push_back(range.text());
    return all;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("trusted ranges: the shipped list, a list, or both", "[conf][edge]") {
    CHECK(read("\"cloudflare\"").settings.edge.trusted_ranges == cloudflare_ranges());
    CHECK(ranges_of("[\"10.0.0.0/8\", \"::1\"]") == Texts{"10.0.0.0/8", "::1/128"});
    const Texts both = ranges_of("[\"127.0.0.1\", \"cloudflare\"]");
    CHECK(both.size() == cloudflare_ranges().size() + 1);
    CHECK(both.front() == "127.0.0.1/32");
}

TEST_CASE("trusted ranges: a file has a range per line and comments", "[conf][edge]") {
    const Folder folder;
    const std::string path =
        folder.write("ranges", "# the edge\n\n10.0.0.0/8\r\n  2400:cb00::/32\t# v6\n::1");
    CHECK(ranges_of("\"file:" + path + "\"") == Texts{"10.0.0.0/8", "2400:cb00::/32", "::1/128"});
}

TEST_CASE("trusted ranges: a wrong line of a file is named by that file and line", "[conf][edge]") {
    const Folder folder;
    const std::string path = folder.write("ranges", "10.0.0.0/8\n\n10.0.0.1/8\nhello\n");
    CHECK(
        problems_of("\"file:" + path + "\"") ==
        Texts{path + ":3:1: edge.trusted_ranges: \"10.0.0.1/8\" is no range: too many bits, or "
                     "bits set behind the "
                     "prefix",
              path +
                  ":4:1: edge.trusted_ranges: \"hello\" is no range: write \"173.245.48.0/20\" or "
                  "\"2400:cb00::/32\""});
    std::string many;
    for (int i = 0; i < 1000; ++i)
        many += "hello\n";
    CHECK(problems_of("\"file:" + folder.write("many", many) + "\"").size() == 20);
}

TEST_CASE("trusted ranges: a file that cannot be used is a problem", "[conf][edge]") {
    const Folder folder;
    const std::string fifo = folder.path("fifo");
    REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
    struct Case {
        std::string path;
        std::string problem;
    };
    const std::string absent = folder.path("absent");
    const std::string empty = folder.write("empty", "# nothing\n\n");
    const std::string large = folder.write("large", std::string((1 << 20) + 1, '\n'));
    const Case cases[] = {
        {absent, "open " + absent + ": No such file or directory"},
        {fifo, fifo + " is not a regular file"},
        {"/dev/zero", "/dev/zero is not a regular file"},
        {folder.path(""), folder.path("") + " is not a regular file"},
        {empty, empty + " holds no range"},
        {large, large + " is larger than 1MiB"},
        {"ranges.txt", "expected an absolute path after file:, not \"ranges.txt\""},
        {"", "expected an absolute path after file:, not \"\""},
        {"/a\\u0000b", "a path has no NUL"},
    };
    for (const auto& [path, problem] : cases) {
        INFO(path);
        CHECK(problems_of("\"file:" + path + "\"") ==
              Texts{"t.toml:2:18: edge.trusted_ranges: " + problem});
    }
}

TEST_CASE("trusted ranges: a list that trusts nobody is refused", "[conf][edge]") {
    const Texts problems = problems_of("[]");
    REQUIRE(problems.size() == 1);
    CHECK_THAT(problems[0],
               Catch::StartsWith("t.toml:2:18: edge.trusted_ranges: the list is empty"));
}

TEST_CASE("trusted ranges: what is no range is named by its place", "[conf][edge]") {
    struct Case {
        const char* value;
        const char* problem;
    };
    const Case cases[] = {
        {"[\"1.2.3.0/24\", \"1.2.3.4/24\"]",
         "t.toml:2:33: edge.trusted_ranges[2]: \"1.2.3.4/24\" is no range: too many bits, or bits "
         "set behind the prefix"},
        {"[\"x\"]",
         "t.toml:2:19: edge.trusted_ranges[1]: \"x\" is no range: write \"173.245.48.0/20\" or "
         "\"2400:cb00::/32\""},
        {"[3]",
         "t.toml:2:19: edge.trusted_ranges[1]: expected a range such as \"173.245.48.0/20\", not "
         "3"},
        {"\"10.0.0.0/8\"",
         "t.toml:2:18: edge.trusted_ranges: ranges stand in a list: write [\"10.0.0.0/8\"]"},
        {"\"cloudfare\"",
         "t.toml:2:18: edge.trusted_ranges: expected \"cloudflare\", a list of ranges or "
         "\"file:PATH\", not "
         "\"cloudfare\""},
    };
    for (const auto& [value, problem] : cases) {
        INFO(value);
        CHECK(problems_of(value) == Texts{problem});
    }
}
