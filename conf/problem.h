// What can be wrong with a configuration, and the list that gathers it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidepool::conf {

// A spot in a file. Lines and columns count from 1; 0 means the file as a whole, or unknown.
struct Place {
    unsigned line = 0;
    unsigned column = 0;
};

// One thing wrong with a configuration: where it stands, which key, what was expected and what to
// do.
struct Problem {
    std::string file;     // "" where the setting came from the command line
    unsigned line = 0;    // 1-based; 0 where the file as a whole is meant
    unsigned column = 0;  // 1-based; 0 where unknown
    std::string key;  // dotted, e.g. "limits.headers" or "pool[2].base_path" (the second [[pool]]);
                      // "" = no one key
    std::string message;
    // "FILE:LINE:COLUMN: KEY: MESSAGE", without the parts that are not known. One line, whatever
    // the file held.
    std::string text() const;
};

// A rule that values break, alone (a range) or together (a contradiction). Found in settings, so it
// knows no file.
struct Finding {
    std::vector<std::string> keys;  // every key that takes part, never empty
    std::string message;
};
using Findings = std::vector<Finding>;

// The problems of one file while it is read.
class ProblemList {
  public:
    explicit ProblemList(std::string file) : file_(std::move(file)) {}

    void add(Place place, std::string key, std::string message);
    // The same, of a file that this one names.
    void add_of(const std::string& file, Place place, std::string key, std::string message);
    // True where this key, what holds it or one of its elements has a problem already, so that a
    // finding about its value (which is then a default) would only confuse.
    bool concerns(std::string_view key) const;
    // Ends the list; this file's first, by line, then column.
    std::vector<Problem> take_sorted();

  private:
    std::string file_;
    std::vector<Problem> problems_;
};

}  // namespace tidepool::conf
