#include "conf/document.h"

#include "conf/quote.h"

#include <algorithm>
#include <exception>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace tidepool::conf {

namespace {

// Settings are three levels deep; what lies deeper is unknown anyway and is not looked into.
constexpr unsigned kDepth = 6;
// Deeper files are refused before the library sees them: it reads and frees nested tables by
// recursion, so a file could make it run out of stack.
constexpr std::size_t kNesting = 32;

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

// Measures how deep a TOML text nests, by its brackets and the dots of its keys, without reading
// its values. It may take the dot of a number for one more level. Behind an error it measures
// nonsense, but there the library has stopped reading.
class NestingScanner {
  public:
    explicit NestingScanner(std::string_view text) : rest_(text) {}

    // The number of the first line that lies deeper than `limit`, 0 where none does.
    unsigned first_deeper_than(std::size_t limit) {
        while (!rest_.empty()) {
            step();
            if (depth_ > limit) return line_;
        }
        return 0;
    }

  private:
    void step() {
        const char c = rest_.front();
        if (c == '"' || c == '\'') {
            skip_string(c);
            line_begins_ = false;
            return;
        }
        rest_.remove_prefix(1);
        switch (c) {
            case '\n':
                end_line();
                return;
            case ' ':
            case '\t':
                return;
            case '#':
                rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
                return;
            case '[':
            case '{':
                open();
                break;
            case ']':
            case '}':
                if (!in_header_ && !around_.empty()) {
                    depth_ = around_.back();
                    around_.pop_back();
                }
                break;
            case '.':
                ++depth_;
                break;
            case ',':
                depth_ = around_.empty() ? header_depth_ : around_.back() + 1;
                break;
            default:
                break;
        }
        line_begins_ = false;
    }

    void open() {
        if (line_begins_ && around_.empty()) {
            in_header_ = true;
            depth_ = 0;
        }
        if (!in_header_) around_.push_back(depth_);
        ++depth_;
    }

    void end_line() {
        ++line_;
        line_begins_ = true;
        if (std::exchange(in_header_, false)) header_depth_ = depth_;
        if (around_.empty()) depth_ = header_depth_;
    }

    void skip_string(char delimiter) {
        const std::string_view triple = delimiter == '"' ? R"(""")" : "'''";
        const bool multi_line = rest_.starts_with(triple);
        const std::string_view end = multi_line ? triple : triple.substr(0, 1);
        rest_.remove_prefix(end.size());
        while (!rest_.empty() && !rest_.starts_with(end)) {
            if (rest_.front() == '\n') {
                if (!multi_line) return;  // an error, which the library will name
                ++line_;
            }
            const bool escapes = rest_.front() == '\\' && delimiter == '"';
            rest_.remove_prefix(escapes && rest_.size() > 1 && rest_[1] != '\n' ? 2 : 1);
        }
        rest_.remove_prefix(std::min(end.size(), rest_.size()));
        // Up to two more belong to the text: """a""""" is a"".
        for (int more = 0; multi_line && more < 2 && rest_.starts_with(delimiter); ++more)
            rest_.remove_prefix(1);
    }

    std::string_view rest_;
    unsigned line_ = 1;
    std::size_t depth_ = 0;
    std::size_t header_depth_ = 0;     // of the table that the last [header] opened
    std::vector<std::size_t> around_;  // for each open bracket the depth in front of it
    bool line_begins_ = true;
    bool in_header_ = false;
};

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
    if (const unsigned line = NestingScanner(toml_text).first_deeper_than(kNesting)) {
        return std::unexpected(Problem{file_name, line, 0, "",
                                       fmt::format("is nested deeper than {} levels", kNesting)});
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
