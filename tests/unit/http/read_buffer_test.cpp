#include "proxy/http/read_buffer.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::http;

namespace {

// Puts text into the buffer in as many writes as it takes.
void receive(ReadBuffer& buffer, std::string_view text) {
    while (!text.empty()) {
        const ReadBuffer::Room room = buffer.room();
        REQUIRE(room.bytes > 0);
        const std::size_t bytes = std::min(room.bytes, text.size());
        text.copy(room.data, bytes);
        buffer.wrote(bytes);
        text.remove_prefix(bytes);
    }
}

std::string pattern(std::size_t bytes) {
    std::string text(bytes, ' ');
    for (std::size_t i = 0; i < bytes; ++i)
        text[i] = static_cast<char>('!' + i * 7 % 90);
    return text;
}

}  // namespace

TEST_CASE("read buffer: what came stands in one piece, whatever its size", "[http][buffer]") {
    BlockPool pool;
    for (const std::size_t bytes :
         {std::size_t{1}, BlockPool::kBlockBytes - 1, BlockPool::kBlockBytes,
          BlockPool::kBlockBytes + 1, 5 * BlockPool::kBlockBytes, std::size_t{300'000}}) {
        ReadBuffer buffer(pool);
        CHECK(buffer.empty());
        CHECK(buffer.view().empty());
        const std::string text = pattern(bytes);
        receive(buffer, text);
        CHECK(buffer.view() == text);
        CHECK_FALSE(buffer.empty());
    }
}

TEST_CASE("read buffer: what is used up makes room, and the rest stays", "[http][buffer]") {
    BlockPool pool;
    ReadBuffer buffer(pool);
    const std::string text = pattern(100'000);
    std::string used;
    // A thousand bytes come and go; 300 that came before them are always still there.
    receive(buffer, std::string_view(text).substr(0, 300));
    for (std::size_t at = 300; at < text.size(); at += 997) {
        receive(buffer, std::string_view(text).substr(at, 997));
        used += buffer.view().substr(0, buffer.view().size() - 300);
        buffer.consume(buffer.view().size() - 300);
        REQUIRE(buffer.view().size() == 300);
        // It never needed more than its first block.
        REQUIRE(buffer.room().bytes <= BlockPool::kBlockBytes);
    }
    used += buffer.view();
    CHECK(used == text);
}

TEST_CASE("read buffer: an idle one holds no block", "[http][buffer]") {
    BlockPool pool;
    ReadBuffer first(pool);
    receive(first, "abc");
    const char* block = first.view().data();
    first.release_if_empty();
    CHECK(first.view() == "abc");  // not empty, so nothing was given back
    first.consume(3);
    first.release_if_empty();
    CHECK(first.empty());
    // The next one gets the same block, and the first a new one when it is needed.
    ReadBuffer second(pool);
    CHECK(second.room().data == block);
    CHECK(first.room().data != block);
    receive(first, "def");
    CHECK(first.view() == "def");
}

TEST_CASE("read buffer: the end of one gives its block back", "[http][buffer]") {
    BlockPool pool;
    const char* block = nullptr;
    {
        ReadBuffer buffer(pool);
        block = buffer.room().data;
    }
    CHECK(ReadBuffer(pool).room().data == block);
}

TEST_CASE("read buffer: one that grows gives back its block, not the larger memory",
          "[http][buffer]") {
    BlockPool pool;
    const char* block = nullptr;
    {
        ReadBuffer buffer(pool);
        block = buffer.room().data;
        receive(buffer, pattern(100'000));
    }
    CHECK(pool.take().get() == block);
}

TEST_CASE("block pool: it keeps a bounded number", "[http][buffer]") {
    BlockPool pool;
    std::vector<std::unique_ptr<char[]>> blocks;
    for (int i = 0; i < 200; ++i)
        blocks.push_back(pool.take());
    const char* last = blocks.back().get();
    std::set<const char*> all;
    for (auto& each : blocks) {
        all.insert(each.get());
        pool.give(std::move(each));
    }
    // The one that was given last is gone, so what comes is one that was given before.
    const auto next = pool.take();
    CHECK(next.get() != last);
    CHECK(all.contains(next.get()));
}
