// A value that must not be seen: a key, a token.
#pragma once

#include "conf/error.h"

#include <string>
#include <string_view>

namespace tidepool::conf {

// Where a secret comes from, as the operator wrote it ("env:NAME", "file:/PATH"), and what it is.
// Nothing formats it: whoever needs the value asks for reveal(), and there alone it can leak
// (invariant 10).
class Secret {
  public:
    Secret() = default;
    Secret(std::string source, std::string value)
        : source_(std::move(source)), value_(std::move(value)) {}

    // "env:NAME" or "file:/PATH"; "" where there is none. May be shown.
    const std::string& source() const { return source_; }
    // Never logged, never answered, never put on a command line.
    const std::string& reveal() const { return value_; }
    bool empty() const { return value_.empty(); }

    bool operator==(const Secret&) const = default;

  private:
    std::string source_;
    std::string value_;
};

// Reads a secret from where `source` says: an environment variable, or a file of at most 64 KiB
// whose trailing line end is not part of it. Errors name the source, never the value: invalid where
// it is neither form or empty there, not_found where there is no such variable or file.
Result<Secret> read_secret(const std::string& source);

}  // namespace tidepool::conf
