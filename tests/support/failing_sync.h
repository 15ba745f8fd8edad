// A disk that cannot be written to: what the kernel says of it, in the thread that asks. Only one
// of these at a time in a thread. Linked into a test, it stands before the C library's fdatasync.
#pragma once

namespace tidepool::test {

class FailingSync {
  public:
    // So many calls of fdatasync from now on fail with EIO.
    explicit FailingSync(int failures = 0);
    ~FailingSync();
    FailingSync(const FailingSync&) = delete;
    FailingSync& operator=(const FailingSync&) = delete;
    // Of all so far, the failed ones too.
    int calls() const;
};

}  // namespace tidepool::test
