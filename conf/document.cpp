#include "conf/document.h"

#include "conf/quote.h"

#include <algorithm>
#include <exception>
#include <span>
#include <tuple>
#include <unordered_map>
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

// How long the string is that a text begins with; one that is not ended ends with its line, or with
// the text where it may have several.
std::size_t string_length(std::string_view text) {
    const char delimiter = text.front();
    const std::string_view triple = delimiter == '"' ? R"(""")" : "'''";
    const bool multi_line = text.starts_with(triple);
    const std::string_view end = multi_line ? triple : triple.substr(0, 1);
    std::size_t at = end.size();
    while (at < text.size() && !text.substr(at).starts_with(end)) {
        if (text[at] == '\n' && !multi_line) return at;  // an error, which the library will name
        const bool escapes = text[at] == '\\' && delimiter == '"';
        at += escapes && at + 1 < text.size() && text[at + 1] != '\n' ? 2 : 1;
    }
    at = std::min(at + end.size(), text.size());
    // Up to two more belong to the text: """a""""" is a"".
    for (int more = 0; multi_line && more < 2 && text.substr(at).starts_with(delimiter); ++more)
        ++at;
    return at;
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
            skip_string();
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

    void skip_string() {
        const std::string_view string = rest_.substr(0, string_length(rest_));
        line_ += static_cast<unsigned>(std::ranges::count(string, '\n'));
        rest_.remove_prefix(string.size());
    }

    std::string_view rest_;
    unsigned line_ = 1;
    std::size_t depth_ = 0;
    std::size_t header_depth_ = 0;     // of the table that the last [header] opened
    std::vector<std::size_t> around_;  // for each open bracket the depth in front of it
    bool line_begins_ = true;
    bool in_header_ = false;
};

// Finds the keys and tables that a TOML text sets a second time and blanks them, since the library
// stops at the first, and an operator wants to know of all that is wrong. What stands inside of
// braces it leaves to the library, and all that follows what is no TOML.
class DuplicateScanner {
  public:
    DuplicateScanner(std::string& text, std::string file) : text_(text), file_(std::move(file)) {}

    std::vector<Problem> scan() {
        constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
        if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
        while (skip_to_statement() && (text_[at_] == '[' ? read_header() : read_value())) {
        }
        return std::move(found_);
    }

  private:
    char peek() const { return at_ < text_.size() ? text_[at_] : '\n'; }
    std::string_view rest() const { return std::string_view(text_).substr(at_); }

    bool take(char c) {
        if (peek() != c || at_ == text_.size()) return false;
        ++at_;
        return true;
    }

    void skip_blanks() {
        while (peek() == ' ' || peek() == '\t')
            ++at_;
    }

    void skip_line() { at_ += std::min(rest().find('\n'), rest().size()); }

    // False: there is none any more.
    bool skip_to_statement() {
        while (at_ < text_.size()) {
            skip_blanks();
            if (peek() == '#') skip_line();
            if (take('\n')) {
                ++line_;
                line_start_ = at_;
            } else if (!take('\r')) {
                break;
            }
        }
        return at_ < text_.size();
    }

    // The parts of a dotted key; none where there stands none.
    std::vector<std::string> read_key() {
        std::vector<std::string> parts;
        do {
            skip_blanks();
            const std::size_t begin = at_;
            if (peek() == '"' || peek() == '\'') {
                at_ += string_length(rest());
                if (at_ - begin < 2 || text_[at_ - 1] != text_[begin]) return {};
                parts.push_back(text_.substr(begin + 1, at_ - begin - 2));
            } else {
                while (is_bare_key({&text_[at_], 1}))
                    ++at_;
                if (at_ == begin) return {};
                parts.push_back(text_.substr(begin, at_ - begin));
            }
            skip_blanks();
        } while (take('.'));
        return parts;
    }

    // False: it is no header.
    bool read_header() {
        const std::size_t begin = at_++;
        const Place place = place_of_line(begin);
        const bool is_of_list = take('[');
        const std::vector<std::string> parts = read_key();
        if (parts.empty() || !take(']') || (is_of_list && !take(']'))) return false;
        table_.clear();
        for (const std::string& part : parts) {
            if (const auto list = lists_.find(table_); list != lists_.end())
                table_ += fmt::format("[{}]", list->second);  // the last one is meant
            table_ = child_path(table_, part);
        }
        is_dropped_ = false;
        if (is_of_list) {
            table_ += fmt::format("[{}]", ++lists_[table_]);
        } else if (const auto [first, is_new] = tables_.emplace(table_, line_); !is_new) {
            is_dropped_ = true;
            add(place, table_,
                fmt::format("this table stands on line {} already, so what is here was not looked "
                            "at: write it there",
                            first->second));
            blank(begin);
        }
        return true;
    }

    // False: it is no key with a value.
    bool read_value() {
        const std::size_t begin = at_;
        const Place place = place_of_line(begin);
        const std::vector<std::string> parts = read_key();
        if (parts.empty() || !take('=') || !skip_value()) return false;
        std::string path = table_;
        for (const std::string& part : parts)
            path = child_path(path, part);
        const auto [first, is_new] = values_.emplace(std::move(path), place.line);
        if (!is_new) {
            add(place, first->first,
                fmt::format("is set on line {} already: remove one of them", first->second));
        }
        if (!is_new || is_dropped_) blank(begin);
        return true;
    }

    // Up to the end of its last line, or a comment. False: a bracket is not closed.
    bool skip_value() {
        std::size_t depth = 0;
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == '#') {
                if (depth == 0) return true;
                skip_line();
            } else if (c == '"' || c == '\'') {
                skip_lines_of(string_length(rest()));
            } else if (c == '\n' && depth == 0) {
                return true;
            } else {
                if (c == '[' || c == '{') ++depth;
                if ((c == ']' || c == '}') && depth > 0) --depth;
                skip_lines_of(1);
            }
        }
        return depth == 0;
    }

    void skip_lines_of(std::size_t count) {
        for (const std::size_t end = at_ + count; at_ < end;) {
            if (text_[at_++] != '\n') continue;
            ++line_;
            line_start_ = at_;
        }
    }

    Place place_of_line(std::size_t at) const {
        return {line_, static_cast<unsigned>(at - line_start_) + 1};
    }

    void add(Place place, const std::string& key, std::string message) {
        found_.push_back({file_, place.line, place.column, key, std::move(message)});
    }

    void blank(std::size_t begin) {
        for (char& c : std::span(text_).subspan(begin, at_ - begin)) {
            if (c != '\n') c = ' ';
        }
    }

    std::string& text_;
    std::string file_;
    std::vector<Problem> found_;
    std::size_t at_ = 0;
    unsigned line_ = 1;
    std::size_t line_start_ = 0;
    std::string table_;                                 // which the last header opened
    bool is_dropped_ = false;                           // that one is there already
    std::unordered_map<std::string, unsigned> tables_;  // by path, their lines
    std::unordered_map<std::string, unsigned> values_;
    std::unordered_map<std::string, std::size_t> lists_;  // how many tables each has so far
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

std::expected<Document, std::vector<Problem>> parse_document(std::string_view toml_text,
                                                             const std::string& file_name) {
    const auto refuse = [&file_name](Place place, std::string why) {
        return std::unexpected(
            std::vector{Problem{file_name, place.line, place.column, "", std::move(why)}});
    };
    if (toml_text.size() > kDocumentBytes)
        return refuse({}, "is larger than 1MiB, which no configuration is");
    if (const unsigned line = NestingScanner(toml_text).first_deeper_than(kNesting))
        return refuse({line, 0}, fmt::format("is nested deeper than {} levels", kNesting));
    std::string text(toml_text);
    Document document;
    document.duplicates = DuplicateScanner(text, file_name).scan();
    Place place;
    std::string why;
    try {
        document.root = convert(toml::parse(text), "", 0);
        document.root.place = {};
        return document;
    } catch (const toml::parse_error& error) {
        place = place_in(error.source());
        why = error.description();
    } catch (const std::exception& error) {
        why = error.what();
    }
    document.duplicates.push_back(
        {file_name, place.line, place.column, "", "not TOML: " + std::move(why)});
    return std::unexpected(std::move(document.duplicates));
}

const Node* find_node(const Node& root, std::string_view path) {
    const Node& node = nearest_node(root, path);
    return node.path == path ? &node : nullptr;
}

Place place_of(const Node& root, std::string_view path) {
    return nearest_node(root, path).place;
}

}  // namespace tidepool::conf
