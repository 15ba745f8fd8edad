// What `tidepool edge doctor` asks for: URLs that were named, or that are found in catalog and
// pools.
#pragma once

#include "proxy/cli/workspace.h"
#include "proxy/cli/zone_setup.h"
#include "proxy/edge/doctor.h"

#include <optional>
#include <string>
#include <vector>

namespace tidepool::cli {

struct DoctorTarget {
    std::string url;  // with its host
    edge::Examined examined;
};

struct DoctorTargets {
    std::vector<DoctorTarget> targets;
    std::vector<std::string> gaps;  // where nothing was found to ask for, and why
};

// One image, on each host of ours, and one of each bucket's own host. `workspace` may be null: then
// there is no catalog, and nothing is found.
DoctorTargets find_targets(const ZoneSetup& setup, Workspace* workspace);

// Of a URL that was named; invalid where it has no host.
Result<DoctorTarget> target_of(const ZoneSetup& setup, const std::string& url);

// "https://images.example": where visitors find us; "" where no host is known.
std::string our_base_url(const ZoneSetup& setup);

// Of a bucket's own host, what it must show to nobody: another bucket, and where keys are private
// by their names one of those, spelt as rules have it and as a bucket takes it as well.
std::vector<std::string> fenced_paths(const ZoneSetup& setup);

// A URL below a private prefix, of an image where one is known. Nothing where nothing is private
// by its name, or nobody can sign.
struct PrivateTarget {
    std::string url;
    bool is_there = false;  // an image is known by it
};
std::optional<PrivateTarget> private_target(const ZoneSetup& setup, Workspace* workspace);

}  // namespace tidepool::cli
