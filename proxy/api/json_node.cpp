#include "proxy/api/json_node.h"

#include <cstdint>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

constexpr unsigned kShownDepth = 3;

// JSON has whole numbers up to 2^64, TOML up to 2^63.
bool is_integer_of_a_file(const Json& json) {
    if (json.is_number_unsigned()) return json.get<std::uint64_t>() <= INT64_MAX;
    return json.is_number_integer();
}

conf::Node shallow_node(const Json& json, const std::string& path, unsigned depth) {
    conf::Node node;
    node.path = path;
    if (json.is_object()) {
        for (const auto& [key, value] : json.items()) {
            if (value.is_null() || depth == kShownDepth) continue;
            const std::string below = path.empty() ? key : fmt::format("{}.{}", path, key);
            node.members.push_back({key, {}, shallow_node(value, below, depth + 1)});
        }
    } else if (json.is_array()) {
        node.kind = conf::Node::Kind::list;
        for (std::size_t i = 0; i < json.size() && depth < kShownDepth; ++i) {
            node.items.push_back(
                shallow_node(json[i], fmt::format("{}[{}]", path, i + 1), depth + 1));
        }
    } else if (json.is_string()) {
        node.kind = conf::Node::Kind::text;
        node.text = json.get<std::string>();
    } else if (json.is_boolean()) {
        node.kind = conf::Node::Kind::boolean;
        node.boolean = json.get<bool>();
    } else if (is_integer_of_a_file(json)) {
        node.kind = conf::Node::Kind::integer;
        node.integer = json.get<std::int64_t>();
    } else {
        node.kind = conf::Node::Kind::real;
        node.real = json.is_number() ? json.get<double>() : 0;
    }
    return node;
}

}  // namespace

conf::Node node_of(const Json& json, const std::string& path) {
    return shallow_node(json, path, 0);
}

}  // namespace tidepool::api
