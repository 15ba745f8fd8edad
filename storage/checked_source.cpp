#include "storage/checked_source.h"

#include <vector>

namespace tidepool::storage {

namespace {

Result<void> require_end(ByteSource& source) {
    char more = 0;
    const auto beyond = source.read({&more, 1});
    if (!beyond) return std::unexpected(beyond.error());
    if (*beyond != 0) return fail(ErrorKind::corrupt, "the source is longer than was said");
    return {};
}

}  // namespace

Result<std::size_t> CheckedSource::read(std::span<char> into) {
    const std::uint64_t rest = size_ - given_;
    if (rest == 0 && md5_) return 0;
    into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), rest)));
    std::size_t got = 0;
    if (!into.empty()) {
        const auto more = source_.read(into);
        if (!more) return more;
        if (*more == 0) return fail(ErrorKind::corrupt, "the source is shorter than was said");
        got = *more;
    }
    sha256_hash_->update(into.first(got));
    md5_hash_->update(into.first(got));
    given_ += got;
    if (given_ < size_) return got;
    if (auto good = check_end(); !good) return std::unexpected(good.error());
    return got;
}

Result<void> CheckedSource::check_end() {
    if (auto good = require_end(source_); !good) return good;
    if (sha256_hash_->finish() != sha256_)
        return fail(ErrorKind::corrupt, "the source has another SHA-256 than was said");
    md5_ = md5_hash_->finish();
    return {};
}

Result<void> CheckedSource::rewind() {
    given_ = 0;
    sha256_hash_.emplace();
    md5_hash_.emplace();
    md5_.reset();
    return source_.rewind();
}

Result<HeldContent> hold_source(ByteSource& source, std::uint64_t size) {
    HeldContent content{.bytes = std::string(static_cast<std::size_t>(size), '\0')};
    std::span<char> rest(content.bytes);
    while (!rest.empty()) {
        const auto got = source.read(rest);
        if (!got) return std::unexpected(got.error());
        if (*got == 0) return fail(ErrorKind::corrupt, "the source is shorter than was said");
        rest = rest.subspan(*got);
    }
    if (auto good = require_end(source); !good) return std::unexpected(good.error());
    content.sha256 = conf::sha256(content.bytes);
    content.md5 = conf::md5(content.bytes);
    return content;
}

Result<conf::Sha256Digest> hash_source(ByteSource& source, std::uint64_t size) {
    constexpr std::size_t kBufferBytes = 256ULL * 1024;
    std::vector<char> buffer(kBufferBytes);
    conf::Sha256 hash;
    std::uint64_t total = 0;
    while (true) {
        const auto got = source.read(buffer);
        if (!got) return std::unexpected(got.error());
        if (*got == 0) break;
        total += *got;
        if (total > size) return fail(ErrorKind::corrupt, "the source is longer than was said");
        hash.update({buffer.data(), *got});
    }
    if (total != size) return fail(ErrorKind::corrupt, "the source is shorter than was said");
    if (auto rewound = source.rewind(); !rewound) return std::unexpected(rewound.error());
    return hash.finish();
}

}  // namespace tidepool::storage
