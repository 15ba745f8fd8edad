// Bytes of a file that a worker has to read, as they are not in memory.
#pragma once

#include "conf/error.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/worker_pool.h"
#include "storage/open_file.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tidepool::http {

struct UnreadChunk {
    std::shared_ptr<const storage::OpenFile> file;
    loop::WorkerPool* readers = nullptr;  // outlives whoever asks
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    bool is_growing = false;  // we are still writing it ourselves

    // Blocks. ErrorKind::busy where the file is no longer the one that was opened: a program that
    // rewrites it in place must not make us end a mixture of two versions as if it were whole.
    Result<std::vector<char>> read() const {
        std::vector<char> text(bytes);
        if (auto got = file->read(offset, text); !got) return std::unexpected(got.error());
        if (!is_growing && !file->unchanged())
            return fail(ErrorKind::busy, "changed while it was read");
        return text;
    }
};

// Has it read by a worker, for as long as that pool's patience lasts.
inline auto read_chunk(loop::Loop& loop, UnreadChunk chunk) {
    loop::WorkerPool& readers = *chunk.readers;
    return loop::offload_within(loop, readers, loop::Lane::bulk,
                                [chunk = std::move(chunk)] { return chunk.read(); });
}

}  // namespace tidepool::http
