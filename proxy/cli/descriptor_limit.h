// How many descriptors the process may have, and settings that keep to it.
#pragma once

#include "conf/settings.h"

namespace tidepool::cli {

// As many as this user may have. Once, before there are threads.
void raise_descriptor_limit();

// Fewer cached files and connections where the settings ask for more than there are descriptors;
// the log says so. Any thread.
conf::Settings fit_to_descriptors(conf::Settings settings);

}  // namespace tidepool::cli
