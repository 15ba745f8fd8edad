#include "proxy/api/json_node.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::api;
using Kind = conf::Node::Kind;

namespace {

struct Case {
    const char* json;
    Kind kind;
    const char* shown;
};

}  // namespace

TEST_CASE("json node: a value is what the same value in a file is", "[api][settings]") {
    for (const auto& [json, kind, shown] :
         {Case{"true", Kind::boolean, "true"}, Case{"false", Kind::boolean, "false"},
          Case{"\"64MiB\"", Kind::text, "\"64MiB\""}, Case{"7", Kind::integer, "7"},
          Case{"-7", Kind::integer, "-7"},
          Case{"9223372036854775807", Kind::integer, "9223372036854775807"},
          Case{"9223372036854775808", Kind::real, "9.223372036854776e+18"},
          Case{"1.5", Kind::real, "1.5"}, Case{"1e3", Kind::real, "1000"},
          Case{"[1]", Kind::list, "a list"}, Case{"{}", Kind::table, "a table"}}) {
        INFO(json);
        const conf::Node node = node_of(Json::parse(json), "tiering.x");
        CHECK(node.kind == kind);
        CHECK(node.shown() == shown);
        CHECK(node.path == "tiering.x");
    }
}

TEST_CASE("json node: what lies below is told by its path, and a null is not there",
          "[api][settings]") {
    const conf::Node root = node_of(Json::parse(R"({"a": {"b": ["x"], "c": null}, "d": null})"));
    REQUIRE(root.members.size() == 1);
    CHECK(root.members[0].key == "a");
    CHECK(root.members[0].value.path == "a");
    REQUIRE(root.members[0].value.members.size() == 1);
    CHECK(conf::find_node(root, "a.b[1]")->text == "x");
}

TEST_CASE("json node: depth costs nothing", "[api][settings]") {
    Json deep = 1;
    for (int i = 0; i < 100; ++i)
        deep = Json{{"a", std::move(deep)}};
    const conf::Node root = node_of(deep);
    CHECK(conf::find_node(root, "a.a.a") != nullptr);
    CHECK(conf::find_node(root, "a.a.a.a") == nullptr);
}
