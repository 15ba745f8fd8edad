// A TOML file as a plain tree that remembers where everything stood. document.cpp alone knows the
// TOML library.
#pragma once

#include "conf/problem.h"

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::conf {

struct Member;

// One value of a file. Which of the fields holds it follows from `kind`.
struct Node {
    enum class Kind : std::uint8_t { table, list, text, integer, real, boolean, date };
    Kind kind = Kind::table;
    Place place;
    std::string
        path;  // dotted key, elements of lists counted from 1: "pool[2].base_path"; "" for the file
    std::string text;
    std::int64_t integer = 0;
    double real = 0;
    bool boolean = false;
    std::vector<Member> members;  // of a table, in the order of the file
    std::vector<Node> items;      // of a list

    // The value as a message shows it: "64", "\"64MiB\"", "a list".
    std::string shown() const;
};

struct Member {
    std::string key;
    Place place;  // of the key
    Node value;
};

struct Document {
    Node root;
    std::vector<Problem> duplicates;  // what is set a second time, and left out of `root`
};

// Parses a whole file of at most kDocumentBytes. What is no TOML is one problem, behind the
// duplicates before it: the parser stops at the first.
constexpr std::size_t kDocumentBytes = std::size_t{1024} * 1024;
std::expected<Document, std::vector<Problem>> parse_document(std::string_view toml_text,
                                                             const std::string& file_name);

// The node of that path, or nothing.
const Node* find_node(const Node& root, std::string_view path);

// Where that path stands, or else the nearest table around it that stands anywhere.
Place place_of(const Node& root, std::string_view path);

}  // namespace tidepool::conf
