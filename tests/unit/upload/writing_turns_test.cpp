#include "proxy/upload/writing_turns.h"

#include <atomic>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::upload;

TEST_CASE("writing turns: one core is left to loops", "[upload]") {
    for (const unsigned cores : {1U, 2U, 3U, 8U}) {
        WritingTurns turns(cores);
        std::vector<WritingTurns::Turn> taken;
        const unsigned most = cores == 1 ? 1 : cores - 1;
        for (unsigned i = 0; i < most; ++i) {
            taken.push_back(turns.take());
            CHECK(taken.back());
        }
        // Whoever has them may be waiting for a disk that does not answer.
        CHECK_FALSE(turns.take());
        taken.pop_back();
        CHECK(turns.take());
        CHECK(turns.take());  // the one before was given back
    }
}

TEST_CASE("writing turns: who has one is alone, and all come to their turn", "[upload]") {
    WritingTurns turns(2);
    std::atomic<int> inside = 0;
    std::atomic<int> with_turn = 0;
    std::atomic<bool> overlapped = false;
    {
        std::vector<std::jthread> writers;
        for (int i = 0; i < 8; ++i) {
            writers.emplace_back([&] {
                for (int k = 0; k < 200; ++k) {
                    const auto turn = turns.take();
                    if (!turn) continue;
                    if (inside.fetch_add(1) != 0) overlapped = true;
                    ++with_turn;
                    inside.fetch_sub(1);
                }
            });
        }
    }
    CHECK_FALSE(overlapped);
    CHECK(with_turn > 0);
}
