#include "tests/unit/failing_datasync.h"

#include <cerrno>

#include <sys/syscall.h>
#include <unistd.h>

namespace {

thread_local int failures_left = 0;
thread_local int calls_seen = 0;

}  // namespace

extern "C" int fdatasync(int fd) {
    ++calls_seen;
    if (failures_left > 0) {
        --failures_left;
        errno = EIO;
        return -1;
    }
    return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace tidepool::test {

FailingDatasync::FailingDatasync(int failures) {
    failures_left = failures;
    calls_seen = 0;
}

FailingDatasync::~FailingDatasync() {
    failures_left = 0;
}

int FailingDatasync::calls() const {
    return calls_seen;
}

}  // namespace tidepool::test
