// A disk that cannot be written to: what the kernel says of it, in the thread that asks. Only one
// of these at a time in a thread. Linked into a test, it stands before the C library's fdatasync.
#pragma once

namespace tidepool::test {

class FailingDatasync {
  public:
    // So many calls of fdatasync from now on fail with EIO.
    explicit FailingDatasync(int failures = 0);
    ~FailingDatasync();
    FailingDatasync(const FailingDatasync&) = delete;
    FailingDatasync& operator=(const FailingDatasync&) = delete;
    // Of all so far, the failed ones too.
    int calls() const;
};

}  // namespace tidepool::test
