// Where tests have the process killed. In a build without TIDEPOOL_TEST_HOOKS (every release build)
// there is nothing of it.
#pragma once

namespace tidepool {

// "NAME:N": the process kills itself (SIGKILL) when it comes to the fault point NAME for the Nth
// time. Several are separated by commas; the first that is met counts.
inline constexpr const char* kFaultPointVariable = "TIDEPOOL_FAULT_POINT";

// A step of something that a crash must not break, with the name by which tests ask for it. Any
// thread.
#ifdef TIDEPOOL_TEST_HOOKS
void fault_point(const char* name);
#else
inline void fault_point(const char*) {}
#endif

}  // namespace tidepool
