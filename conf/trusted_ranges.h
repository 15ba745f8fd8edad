// The setting edge.trusted_ranges: whose word about the client is believed.
#pragma once

#include "conf/cidr.h"
#include "conf/document.h"
#include "conf/error.h"
#include "conf/problem.h"

#include <string>
#include <vector>

namespace tidepool::conf {

// "cloudflare", a list of ranges (which may name "cloudflare" as well), or "file:PATH" with a range
// per line, "#" starting a comment. The file is read here: a regular one of at most 1 MiB, absolute
// path.
struct TrustedRanges {
    void read(const Node& node, std::vector<Cidr>& into, ProblemList& problems) const;
    // An empty list is refused: it would take every request for a stranger's, and looks like a list
    // that got lost.
    void check(const std::vector<Cidr>& value, const std::string& key, Findings& findings) const;
};

// The PATH of "file:PATH" in a configuration, which may be wrong elsewhere, and whose PATH need not
// be there yet. ErrorKind::invalid where the setting says something else, or the file is no TOML.
Result<std::string> find_ranges_file(const std::string& config_path);

}  // namespace tidepool::conf
