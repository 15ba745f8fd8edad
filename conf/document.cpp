#include "conf/document.h"

#include "conf/quote.h"

#include <algorithm>
#include <exception>
#include <tuple>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace tidepool::conf {

namespace {

// Settings are three levels deep; what lies deeper is unknown anyway and is not looked into.
constexpr unsigned kDepth = 6;
// One line can name nested tables without end ("a.a.a.a"), and the library frees them by recursion.
constexpr std::size_t kLineBytes = std::size_t{8} * 1024;

Place place_in(const toml::source_region& region) {
    return {region.begin.line, region.begin.column};
}

bool is_bare_key(std::string_view key) {
    const auto is_bare = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_';
    };
    return !key.empty() && std::ranges::all_of(key, is_bare);
}

std::string child_path(const std::string& parent, std::string_view key) {
    const std::string shown = is_bare_key(key) ? std::string(key) : quote(key);
    return parent.empty() ? shown : parent + "." + shown;
}

Node convert(const toml::node& from, std::string path, unsigned depth);

void convert_members(const toml::table& from, Node& into, unsigned depth) {
    for (const auto& [key, value] : from) {
        Node node = convert(value, child_path(into.path, key.str()), depth + 1);
        into.members.push_back({std::string(key.str()), place_in(key.source()), std::move(node)});
    }
    // The library sorts by name; a reader of messages thinks in lines.
    std::ranges::sort(into.members, {}, [](const Member& member) {
        return std::tie(member.place.line, member.place.column);
    });
}

void convert_items(const toml::array& from, Node& into, unsigned depth) {
    std::size_t number = 0;
    for (const toml::node& item : from) {
        into.items.push_back(convert(item, fmt::format("{}[{}]", into.path, ++number), depth + 1));
    }
}

void convert_value(const toml::node& from, Node& into) {
    if (const auto* text = from.as_string()) {
        into.kind = Node::Kind::text;
        into.text = text->get();
    } else if (const auto* integer = from.as_integer()) {
        into.kind = Node::Kind::integer;
        into.integer = integer->get();
    } else if (const auto* real = from.as_floating_point()) {
        into.kind = Node::Kind::real;
        into.real = real->get();
    } else if (const auto* boolean = from.as_boolean()) {
        into.kind = Node::Kind::boolean;
        into.boolean = boolean->get();
    } else {
        into.kind = Node::Kind::date;
    }
}

Node convert(const toml::node& from, std::string path, unsigned depth) {
    Node node;
    node.place = place_in(from.source());
    node.path = std::move(path);
    if (const auto* table = from.as_table()) {
        if (depth < kDepth) convert_members(*table, node, depth);
    } else if (const auto* array = from.as_array()) {
        node.kind = Node::Kind::list;
        if (depth < kDepth) convert_items(*array, node, depth);
    } else {
        convert_value(from, node);
    }
    return node;
}

// The number of the first line that is longer than kLineBytes, 0 where none is.
unsigned first_long_line(std::string_view text) {
    for (unsigned line = 1; !text.empty(); ++line) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        if (end > kLineBytes) return line;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return 0;
}

bool encloses(std::string_view holder, std::string_view path) {
    if (!path.starts_with(holder)) return false;
    return path.size() == holder.size() || path[holder.size()] == '.' || path[holder.size()] == '[';
}

// The child of `node` that is or holds `path`, or nothing.
const Node* child_towards(const Node& node, std::string_view path) {
    for (const Member& member : node.members) {
        if (encloses(member.value.path, path)) return &member.value;
    }
    for (const Node& item : node.items) {
        if (encloses(item.path, path)) return &item;
    }
    return nullptr;
}

// The deepest node on the way to `path`.
const Node& nearest_node(const Node& root, std::string_view path) {
    const Node* node = &root;
    while (const Node* child = child_towards(*node, path))
        node = child;
    return *node;
}

}  // namespace

std::string Node::shown() const {
    switch (kind) {
        case Kind::table:
            return "a table";
        case Kind::list:
            return "a list";
        case Kind::text:
            return quote(text);
        case Kind::integer:
            return std::to_string(integer);
        case Kind::real:
            return fmt::format("{}", real);
        case Kind::boolean:
            return boolean ? "true" : "false";
        case Kind::date:
            return "a date or time";
    }
    return {};
}

std::expected<Node, Problem> parse_document(std::string_view toml_text,
                                            const std::string& file_name) {
    if (toml_text.size() > kDocumentBytes) {
        return std::unexpected(
            Problem{file_name, 0, 0, "", "is larger than 1MiB, which no configuration is"});
    }
    if (const unsigned line = first_long_line(toml_text)) {
        return std::unexpected(Problem{file_name, line, 0, "", "this line is longer than 8KiB"});
    }
    try {
        Node root = convert(toml::parse(toml_text), "", 0);
        root.place = {};
        return root;
    } catch (const toml::parse_error& error) {
        const Place place = place_in(error.source());
        return std::unexpected(Problem{file_name, place.line, place.column, "",
                                       "not TOML: " + std::string(error.description())});
    } catch (const std::exception& error) {
        return std::unexpected(
            Problem{file_name, 0, 0, "", std::string("not TOML: ") + error.what()});
    }
}

const Node* find_node(const Node& root, std::string_view path) {
    const Node& node = nearest_node(root, path);
    return node.path == path ? &node : nullptr;
}

Place place_of(const Node& root, std::string_view path) {
    return nearest_node(root, path).place;
}

}  // namespace tidepool::conf
