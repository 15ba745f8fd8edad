// A request as a visitor makes it to the edge, and the head of the origin's answer to it. Pure.
#pragma once

#include "conf/error.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::edge {

struct Field {
    std::string name;  // lower case
    std::string value;
    bool operator==(const Field&) const = default;
};

// Header fields in their order.
class FieldList {
  public:
    void add(std::string_view name, std::string_view value);
    bool has(std::string_view name) const;
    // All lines of that name, joined as RFC 9110, 5.3 says; "" where there is none.
    std::string value(std::string_view name) const;
    const std::vector<Field>& all() const { return all_; }

  private:
    std::vector<Field> all_;
};

// What stands between the commas of a field's value, in lower case; nothing of what is empty.
std::vector<std::string> members_of(std::string_view value);

struct Question {
    std::string host;    // "" where only a path was given
    std::string target;  // path and query, as sent
    FieldList fields;    // of the visitor, beside Host

    std::string_view path() const;
    // Behind the "?"; "" where there is none.
    std::string_view query() const;
};

struct Answer {
    int status = 0;
    FieldList fields;
};

// The longest head that is looked at, which is the most that the edge takes (contracts:
// cloudflare.md 1.3).
constexpr std::size_t kHeadBytes = std::size_t{128} * 1024;

// "https://host/path?query" or "/path?query"; a fragment is left out. ErrorKind::invalid else, and
// for what cannot stand in a request line.
Result<Question> read_question(std::string_view url);

// "Name: value"; ErrorKind::invalid for what would be another field, or none.
Result<Field> read_field(std::string_view line);

// A status line and fields up to an empty line or the end, with either line end; heads of 1xx
// before it are passed over. More generous than http::AnswerHead, as people paste what they saw: a
// length that is missing or nonsense is something to explain, not to refuse.
Result<Answer> read_answer(std::string_view text);

// The fields of the edge's own GET on a miss (contracts: cloudflare.md 1.1): the visitor's, without
// conditions and ranges where the whole answer is wanted for the cache, and with Host (which is the
// visitor's, else the URL's, else `host`), Connection and Accept-Encoding of the edge.
std::vector<Field> fields_to_origin(const Question& question, std::string_view host);

}  // namespace tidepool::edge
