#include "proxy/edge/range_list.h"

#include "conf/settings_reader.h"
#include "tests/support/folder.h"

#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::edge;

namespace {

using Texts = std::vector<std::string>;

Texts texts_of(const std::vector<conf::Cidr>& ranges) {
    Texts texts;
    for (const conf::Cidr& range : ranges)
        texts.push_back(range.text());
    return texts;
}

std::vector<conf::Cidr> ranges_of(const Texts& texts) {
    std::vector<conf::Cidr> ranges;
    for (const std::string& text : texts) {
        const auto range = conf::Cidr::parse(text);
        REQUIRE(range);
        ranges.push_back(*range);
    }
    return ranges;
}

// What is wrong with it, "" where nothing is.
std::string wrong_with(const std::string& text) {
    const auto published = read_published(text, "SOURCE");
    if (published) return "";
    CHECK(published.error().kind == ErrorKind::invalid);
    CHECK(published.error().text.starts_with("SOURCE: "));
    return published.error().text.substr(8);
}

}  // namespace

TEST_CASE("edge ranges: the API's answer", "[edge][ranges]") {
    const auto published = read_published(
        R"({"success": true, "errors": [], "messages": [], "result": {"etag": "38f7",
            "ipv4_cidrs": ["173.245.48.0/20", "104.16.0.0/13"], "ipv6_cidrs": ["2400:cb00::/32"],
            "jdcloud_cidrs": ["10.0.0.0/8"]}})",
        "x");
    REQUIRE(published);
    CHECK(texts_of(published->ranges) ==
          Texts{"173.245.48.0/20", "104.16.0.0/13", "2400:cb00::/32"});
    CHECK(published->etag == "38f7");
    CHECK(read_published(R"({"result":{"ipv4_cidrs":["1.0.0.0/24"],"ipv6_cidrs":[]}})", "x"));
}

TEST_CASE("edge ranges: text with a range per line", "[edge][ranges]") {
    const auto published =
        read_published("# of today\r\n173.245.48.0/20\r\n\n 2400:cb00::/32 # six", "x");
    REQUIRE(published);
    CHECK(texts_of(published->ranges) == Texts{"173.245.48.0/20", "2400:cb00::/32"});
    CHECK(published->etag.empty());
}

TEST_CASE("edge ranges: what is no list", "[edge][ranges]") {
    for (const auto& [text, wrong] : std::vector<std::pair<std::string, std::string>>{
             {"", "is empty"},
             {" \n\n", "is empty"},
             {"# nothing\n", "holds no range"},
             {"1.0.0.0/24\n<html>\n", "line 2: \"<html>\" is no range"},
             {"1.0.0.1/24", "line 1: \"1.0.0.1/24\" is no range"},
             {"{", "is no JSON with a \"result\""},
             {"{}", "is no JSON with a \"result\""},
             {R"({"result":[]})", "is no JSON with a \"result\""},
             {R"({"success":false,"result":{"ipv4_cidrs":["1.0.0.0/24"],"ipv6_cidrs":[]}})",
              "says that it failed (\"success\" is not true)"},
             {R"({"result":{"ipv4_cidrs":["1.0.0.0/24"]}})",
              "result.ipv6_cidrs is missing or no list"},
             {R"({"result":{"ipv4_cidrs":"1.0.0.0/24","ipv6_cidrs":[]}})",
              "result.ipv4_cidrs is missing or no list"},
             {R"({"result":{"ipv4_cidrs":[7],"ipv6_cidrs":[]}})",
              "result.ipv4_cidrs holds \"something\", which is no such range"},
             {R"({"result":{"ipv4_cidrs":["2400:cb00::/32"],"ipv6_cidrs":[]}})",
              "result.ipv4_cidrs holds \"2400:cb00::/32\", which is no such range"},
             {R"({"result":{"ipv4_cidrs":[],"ipv6_cidrs":["::ffff:1.2.3.0/120"]}})",
              "result.ipv6_cidrs holds \"::ffff:1.2.3.0/120\", which is no such range"},
             {R"({"result":{"ipv4_cidrs":[],"ipv6_cidrs":[]}})", "holds no range"}}) {
        CAPTURE(text);
        CHECK(wrong_with(text) == wrong);
    }
}

TEST_CASE("edge ranges: whom nobody may have us believe", "[edge][ranges]") {
    CHECK(check_published(conf::cloudflare_ranges()));
    CHECK(check_published(ranges_of({"8.0.0.0/8", "2400::/16"})));
    for (const auto& [range, why] :
         std::vector<std::pair<std::string, std::string>>{{"8.0.0.0/7", "wider than /8"},
                                                          {"0.0.0.0/0", "wider than /8"},
                                                          {"2400::/15", "wider than /16"},
                                                          {"::/0", "wider than /16"},
                                                          {"::/16", "IPv4"},
                                                          {"::/96", "loopback"},
                                                          {"::ffff:0:0/96", "wider than /8"},
                                                          {"::1", "loopback"},
                                                          {"0.0.0.0", "this network"},
                                                          {"10.0.0.0/8", "private"},
                                                          {"10.1.2.3", "private"},
                                                          {"172.16.5.0/24", "private"},
                                                          {"192.168.0.0/15", "private"},
                                                          {"100.64.0.0/16", "carriers"},
                                                          {"127.0.0.0/8", "loopback"},
                                                          {"169.254.169.254", "link-local"},
                                                          {"224.0.0.0/8", "multicast"},
                                                          {"255.255.255.255", "reserved"},
                                                          {"fd00::/16", "private"},
                                                          {"fe80::/64", "link-local"},
                                                          {"ff02::/16", "multicast"}}) {
        CAPTURE(range);
        const auto checked = check_published(ranges_of({"1.0.0.0/24", range}));
        REQUIRE_FALSE(checked);
        CHECK(checked.error().kind == ErrorKind::invalid);
        CHECK(checked.error().text.find(why) != std::string::npos);
    }
    const auto without_v4 = check_published(ranges_of({"2400:cb00::/32"}));
    REQUIRE_FALSE(without_v4);
    CHECK(without_v4.error().text.find("no IPv4") != std::string::npos);
    CHECK_FALSE(check_published({}));
    CHECK(check_published(ranges_of({"172.64.0.0/13"})));  // looks private, and is not
}

TEST_CASE("edge ranges: what changes", "[edge][ranges]") {
    const auto change =
        compare_ranges(ranges_of({"1.0.0.0/24", "2.0.0.0/24", "3.0.0.0/24"}),
                       ranges_of({"4.0.0.0/24", "3.0.0.0/24", "1.0.0.0/24", "4.0.0.0/24"}));
    CHECK(texts_of(change.added) == Texts{"4.0.0.0/24"});
    CHECK(texts_of(change.removed) == Texts{"2.0.0.0/24"});
    CHECK_FALSE(change.empty());
    CHECK(compare_ranges(ranges_of({"1.0.0.0/24", "2.0.0.0/24"}),
                         ranges_of({"2.0.0.0/24", "1.0.0.0/24", "2.0.0.0/24"}))
              .empty());
    CHECK(texts_of(without_doubles(ranges_of({"1.0.0.0/24", "2.0.0.0/24", "1.0.0.0/24"}))) ==
          Texts{"1.0.0.0/24", "2.0.0.0/24"});
    CHECK(texts_of(read_ranges_file("# x\n1.0.0.0/24\nnonsense\n2.0.0.0/24")) ==
          Texts{"1.0.0.0/24", "2.0.0.0/24"});
}

TEST_CASE("edge ranges: the file is one that the server takes", "[edge][ranges]") {
    const auto ranges = conf::cloudflare_ranges();
    const std::string content = ranges_file(ranges, {"https://a\nevil", "b"}, 1'772'000'000);
    CHECK(content.starts_with(
        "# From https://a\\nevil and b, 2026-02-25 06:13:20 UTC.\n# Written by"));
    const test::Folder folder;
    const auto read =
        conf::read_settings("[edge]\ntrusted_ranges = \"file:" + folder.write("ranges", content) +
                                "\"\n[[pool]]\nname='a'\nbase_path='/a'\n",
                            "t.toml");
    CHECK(read.problems.empty());
    CHECK(read.settings.edge.trusted_ranges == ranges);
}
