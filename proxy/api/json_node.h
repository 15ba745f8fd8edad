// JSON as the tree that the settings' schema reads, so that what comes by the API is read, and
// refused, as what stands in the file.
#pragma once

#include "conf/document.h"
#include "proxy/api/pool_json.h"

#include <string>

namespace tidepool::api {

// `path` is what problems call it: "tiering.enabled". A null in an object is a field that is not
// there. Settings are two levels deep; what lies deeper than that is wrong anyway and is not looked
// into. Pure.
conf::Node node_of(const Json& json, const std::string& path = {});

}  // namespace tidepool::api
