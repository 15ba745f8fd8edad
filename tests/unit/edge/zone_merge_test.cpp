#include "proxy/edge/zone_merge.h"

#include <initializer_list>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::edge;

namespace {

ZoneJson ours(const std::string& ref, const std::string& expression = "true") {
    return {{"ref", "tidepool_" + ref},
            {"description", "tidepool: " + ref},
            {"expression", expression},
            {"action", "block"},
            {"enabled", true}};
}

// As the API gives a rule back.
ZoneJson stored(ZoneJson rule, const std::string& id) {
    rule["id"] = id;
    rule["version"] = "3";
    rule["last_updated"] = "2026-01-01T00:00:00Z";
    return rule;
}

ZoneJson theirs(const std::string& id) {
    return stored({{"ref", id},
                   {"description", "somebody's tidepool"},
                   {"expression", "ip.src eq 192.0.2.1"},
                   {"action", "skip"},
                   {"logging", {{"enabled", false}}},
                   {"enabled", false}},
                  id);
}

std::string refs(const ZoneJson& rules) {
    std::string text;
    for (const ZoneJson& rule : rules)
        text += (text.empty() ? "" : " ") + rule["ref"].get<std::string>();
    return text;
}

std::string said(const PhaseMerge& merge) {
    std::string text;
    for (const RuleChange& change : merge.changes) {
        text += "+~-"[static_cast<std::size_t>(change.kind)] + change.name.substr(10);
        for (const std::string& field : change.fields)
            text += "(" + field + ")";
        text += " ";
    }
    return text;
}

}  // namespace

TEST_CASE("zone merge: into an empty phase", "[edge]") {
    const PhaseMerge merge = merge_rules(ZoneJson::array(), {ours("a"), ours("b")});
    CHECK(merge.rules.dump() == ZoneJson({ours("a"), ours("b")}).dump());
    CHECK(said(merge) == "+a +b ");
    CHECK_FALSE(merge.changes_nothing());
}

TEST_CASE("zone merge: what stands there already is left alone", "[edge]") {
    const ZoneJson there = {theirs("1"), stored(ours("a"), "2"), stored(ours("b"), "3")};
    const PhaseMerge merge = merge_rules(there, {ours("a"), ours("b")});
    CHECK(merge.changes_nothing());
    CHECK(merge.same == 2);
    CHECK(merge.foreign == 1);
    CHECK(merge_rules(ZoneJson::array(), ZoneJson::array()).changes_nothing());
}

TEST_CASE("zone merge: members of objects have no order", "[edge]") {
    ZoneJson wanted = ours("a");
    wanted["action_parameters"] = {{"cache", true}, {"edge_ttl", {{"mode", "respect_origin"}}}};
    ZoneJson there = stored(ours("a"), "2");
    there["action_parameters"] = {{"edge_ttl", {{"mode", "respect_origin"}}}, {"cache", true}};
    CHECK(merge_rules(ZoneJson::array({there}), ZoneJson::array({wanted})).changes_nothing());
    there["action_parameters"]["cache"] = false;
    CHECK(said(merge_rules(ZoneJson::array({there}), ZoneJson::array({wanted}))) ==
          "~a(action_parameters) ");
}

TEST_CASE("zone merge: others' rules are kept whole, in their order", "[edge]") {
    const ZoneJson there = {theirs("1"), stored(ours("a", "old"), "2"), theirs("3"), theirs("4")};
    const PhaseMerge merge = merge_rules(there, {ours("a"), ours("b")});
    CHECK(refs(merge.rules) == "1 tidepool_a tidepool_b 3 4");
    CHECK(said(merge) == "~a(expression) +b ");
    ZoneJson kept = theirs("3");
    kept.erase("version");
    kept.erase("last_updated");
    CHECK(merge.rules[3].dump() == kept.dump());
    // It is still the same rule, for whoever counts its hits.
    CHECK(merge.rules[1]["id"] == "2");
    CHECK_FALSE(merge.rules[2].contains("id"));
}

TEST_CASE("zone merge: ours keep their places among the others", "[edge]") {
    const ZoneJson there = {stored(ours("a"), "1"), theirs("2"), stored(ours("b"), "3"),
                            theirs("4")};
    CHECK(refs(merge_rules(there, {ours("a"), ours("b")}).rules) == "tidepool_a 2 tidepool_b 4");
    CHECK(refs(merge_rules(there, {ours("a"), ours("b"), ours("c")}).rules) ==
          "tidepool_a 2 tidepool_b tidepool_c 4");
    const PhaseMerge fewer = merge_rules(there, ZoneJson::array({ours("b")}));
    CHECK(said(fewer) == "-a ");
    CHECK(refs(fewer.rules).find("tidepool_a") == std::string::npos);
    CHECK(fewer.foreign == 2);
    const PhaseMerge none = merge_rules(there, ZoneJson::array());
    CHECK(said(none) == "-a -b ");
    CHECK(refs(none.rules) == "2 4");
}

TEST_CASE("zone merge: a wrong order is mended", "[edge]") {
    const ZoneJson there = {stored(ours("b"), "1"), stored(ours("a"), "2")};
    const PhaseMerge merge = merge_rules(there, {ours("a"), ours("b")});
    CHECK(merge.changes.empty());
    CHECK(merge.is_moved);
    CHECK_FALSE(merge.changes_nothing());
    CHECK(refs(merge.rules) == "tidepool_a tidepool_b");
    CHECK(merge.rules[0]["id"] == "2");
}

TEST_CASE("zone merge: ours that were made by hand or copied are replaced", "[edge]") {
    ZoneJson by_hand = stored(ours("a"), "1");
    by_hand["ref"] = "1";  // the API gives a rule without one its id
    ZoneJson copy = stored(ours("a"), "2");
    const ZoneJson there = {by_hand, copy, copy};
    const PhaseMerge merge = merge_rules(there, ZoneJson::array({ours("a")}));
    CHECK(said(merge) == "-a -a ");
    CHECK(merge.same == 1);
    CHECK(refs(merge.rules) == "tidepool_a");
}

TEST_CASE("zone merge: one that somebody has switched off is switched on", "[edge]") {
    ZoneJson off = stored(ours("a"), "1");
    off["enabled"] = false;
    CHECK(said(merge_rules(ZoneJson::array({off}), ZoneJson::array({ours("a")}))) ==
          "~a(enabled) ");
}

TEST_CASE("zone merge: whose a rule is", "[edge]") {
    CHECK(is_our_rule({{"ref", "tidepool_x"}}));
    CHECK(is_our_rule({{"description", "tidepool:x"}}));
    CHECK_FALSE(is_our_rule({{"description", "not tidepool: x"}, {"ref", "x_tidepool_"}}));
    CHECK_FALSE(is_our_rule({{"description", 1}, {"ref", nullptr}}));
    CHECK_FALSE(is_our_rule("tidepool: x"));
    CHECK_FALSE(is_our_rule(nullptr));
}
