// Names that no two processes or nodes agree on.
#pragma once

#include <string>

namespace tidepool::conf {

// 16 hex digits of the system's own randomness. Any thread.
std::string random_name();

}  // namespace tidepool::conf
