#include "proxy/loop/arrivals.h"

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::loop;

namespace {

struct Item {
    Item(unsigned of, unsigned which, std::atomic<int>& alive)
        : giver(of), number(which), left(alive) {
        ++left;
    }
    ~Item() { --left; }
    Item(const Item&) = delete;
    Item& operator=(const Item&) = delete;

    unsigned giver;
    unsigned number;
    std::atomic<int>& left;
    Item* next = nullptr;
};

}  // namespace

TEST_CASE("arrivals: the oldest first, and who adds knows whether it is alone", "[loop]") {
    std::atomic<int> left = 0;
    {
        Arrivals<Item> arrivals;
        std::vector<unsigned> taken;
        const auto take = [&] {
            arrivals.take([&](std::unique_ptr<Item> item) {
                taken.push_back(item->number);
                // What is added meanwhile comes the next time.
                if (item->number == 2) CHECK(arrivals.add(std::make_unique<Item>(0, 9, left)));
            });
        };
        take();
        CHECK(taken.empty());
        CHECK(arrivals.add(std::make_unique<Item>(0, 1, left)));
        CHECK_FALSE(arrivals.add(std::make_unique<Item>(0, 2, left)));
        CHECK_FALSE(arrivals.add(std::make_unique<Item>(0, 3, left)));
        take();
        CHECK(taken == std::vector<unsigned>{1, 2, 3});
        take();
        CHECK(taken == std::vector<unsigned>{1, 2, 3, 9});
        CHECK(left == 0);
        arrivals.add(std::make_unique<Item>(0, 4, left));
        arrivals.add(std::make_unique<Item>(0, 5, left));
        CHECK(left == 2);
    }
    CHECK(left == 0);
}

TEST_CASE("arrivals: of many threads nothing is lost, and each one's order is kept", "[loop]") {
    constexpr unsigned kGivers = 4;
    constexpr unsigned kEach = 20'000;
    std::atomic<int> left = 0;
    std::atomic<int> alone = 0;
    Arrivals<Item> arrivals;
    std::vector<std::jthread> givers;
    for (unsigned giver = 0; giver < kGivers; ++giver) {
        givers.emplace_back([&, giver] {
            for (unsigned number = 0; number < kEach; ++number) {
                if (arrivals.add(std::make_unique<Item>(giver, number, left))) ++alone;
            }
        });
    }
    std::array<unsigned, kGivers> next{};
    unsigned count = 0;
    int filled = 0;  // takes that found something
    bool in_order = true;
    while (count < kGivers * kEach) {
        bool found = false;
        arrivals.take([&](std::unique_ptr<Item> item) {
            in_order = in_order && item->number == next[item->giver]++;
            found = true;
            ++count;
        });
        if (found) ++filled;
    }
    givers.clear();
    CHECK(in_order);
    CHECK(left == 0);
    CHECK(alone == filled);
}
