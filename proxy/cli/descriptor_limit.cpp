#include "proxy/cli/descriptor_limit.h"

#include "conf/log.h"

#include <algorithm>

#include <sys/resource.h>

namespace tidepool::cli {

// The usual soft limit of 1024 is for programs that use select(2).
void raise_descriptor_limit() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// Each cached file takes a descriptor, as does each further answer of an HTTP/2 connection, whose
// file the cache may have let go of; a connection takes its own and that of one answer's file.
// Where there are too few, connections must not take those that looking for files needs.
conf::Settings fit_to_descriptors(conf::Settings settings) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const auto available = static_cast<unsigned>(std::min<rlim_t>(limit.rlim_cur, 1U << 30));
    const unsigned others = std::min(1024U, available / 4);
    const unsigned files = std::min(settings.cache.files, available / 4);
    const unsigned answers = std::min(settings.limits.http2_answers, available / 8);
    const unsigned connections =
        std::min(settings.limits.connections, (available - others - files - answers) / 2);
    if (files < settings.cache.files || answers < settings.limits.http2_answers ||
        connections < settings.limits.connections) {
        conf::log_warn(
            "only {} descriptors, so cache.files is {}, limits.http2_answers is {} and "
            "limits.connections is {}; raise LimitNOFILE",
            available, files, answers, connections);
    }
    settings.cache.files = files;
    settings.limits.http2_answers = answers;
    settings.limits.connections = connections;
    return settings;
}

}  // namespace tidepool::cli
