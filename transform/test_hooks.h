// Decoders that go wrong, for tests. In a build without TIDEPOOL_TEST_HOOKS (every release build)
// there is nothing of it.
#pragma once

#include <cstddef>
#include <span>

namespace tidepool::transform {

// The environment variable without which a source is only a source.
inline constexpr const char* kTestDecoderVariable = "TIDEPOOL_TEST_DECODER";

// Where the variable is set and the source begins with "TEST:" and one of these words, does it
// before the first variant is made or it is looked at; one that ends with "TEST:N:" and a word,
// before the variant with the index N (one digit), so that an image can be the source of those
// before:
//   crash   a bad memory access        hang    computes for ever
//   eat     takes memory for ever      keep    keeps 64 MiB and goes on
//   open    opens a file               socket  opens a socket
//   exec    starts another program     fork    makes another process
//   hoard   makes many memory files, and one of 1 GiB
// "open", "fork" and "hoard", which the sandbox must refuse, crash where it does not; a file that
// grows too large ends the process by a signal of its own.
#ifdef TIDEPOOL_TEST_HOOKS
void obey_test_source(std::span<const char> source, std::size_t index);
#else
inline void obey_test_source(std::span<const char>, std::size_t) {}
#endif

}  // namespace tidepool::transform
