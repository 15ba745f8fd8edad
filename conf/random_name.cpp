#include "conf/random_name.h"

#include <cstdint>
#include <random>

#include <fmt/format.h>

namespace tidepool::conf {

std::string random_name() {
    std::random_device random;
    const std::uint64_t high = random();
    return fmt::format("{:016x}", high << 32 | random());
}

}  // namespace tidepool::conf
