#include "conf/problem.h"

#include "conf/quote.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace tidepool::conf {

namespace {

// "server" holds "server.listen", "pool" holds "pool[2].name".
bool is_held_by(std::string_view key, std::string_view holder) {
    if (!key.starts_with(holder) || key.size() == holder.size()) return false;
    return key[holder.size()] == '.' || key[holder.size()] == '[';
}

// "server.listen[2]" is an element of "server.listen"; "pool[2].name" is none of "pool".
bool is_element_of(std::string_view key, std::string_view list) {
    return is_held_by(key, list) && key[list.size()] == '[' &&
           key.find(']', list.size()) == key.size() - 1;
}

}  // namespace

std::string Problem::text() const {
    std::string line_text = printable(file);
    if (line != 0) {
        line_text += ":" + std::to_string(line);
        if (column != 0) line_text += ":" + std::to_string(column);
    }
    if (!line_text.empty()) line_text += ": ";
    if (!key.empty()) line_text += printable(key) + ": ";
    return line_text + printable(message);
}

void ProblemList::add(Place place, std::string key, std::string message) {
    add_of(file_, place, std::move(key), std::move(message));
}

void ProblemList::add_of(const std::string& file, Place place, std::string key,
                         std::string message) {
    problems_.push_back({file, place.line, place.column, std::move(key), std::move(message)});
}

bool ProblemList::concerns(std::string_view key) const {
    return std::ranges::any_of(problems_, [key](const Problem& problem) {
        return problem.key == key || is_held_by(key, problem.key) ||
               is_element_of(problem.key, key);
    });
}

std::vector<Problem> ProblemList::take_sorted() {
    const auto order = [this](const Problem& problem) {
        return std::tuple<bool, const std::string&, unsigned, unsigned, const std::string&,
                          const std::string&>(problem.file != file_, problem.file, problem.line,
                                              problem.column, problem.key, problem.message);
    };
    std::ranges::sort(problems_,
                      [&order](const Problem& a, const Problem& b) { return order(a) < order(b); });
    return std::exchange(problems_, {});
}

}  // namespace tidepool::conf
