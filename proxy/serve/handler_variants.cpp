// The part of FileHandler that answers for variants that no pool has.
#include "proxy/serve/handler.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

// How often, at most, a client's variant is looked at while something might stand in for it.
constexpr conf::Milliseconds kLookAgain{500};

// While it is being made.
bool is_not_ready(const VariantMaker::Outcome& variant) {
    return variant.error && variant.error->kind == ErrorKind::timed_out && !variant.error->store;
}

}  // namespace

// No pool has this variant. Once it is made it is found as any other file.
loop::Task<http::Response> FileHandler::respond_variant(const http::RequestHead& head,
                                                        Wanted wanted) {
    const std::string& key = wanted.key;
    const conf::VariantSettings& settings = variants_->settings();
    const std::uint64_t until_ms =
        loop_.now_ms() + static_cast<std::uint64_t>(settings.wait_timeout.count());
    const auto first_wait = std::min(settings.first_hit_wait, settings.wait_timeout);
    VariantMaker::Outcome made = co_await variants_->make(loop_, key, first_wait);
    while (is_not_ready(made) && left_until(until_ms).count() > 0) {
        const auto wait = std::min(left_until(until_ms), std::max(first_wait, kLookAgain));
        if (auto stand_in = co_await respond_stand_in(head, wanted, wait)) {
            if (stand_in->status == 200) count_view(head, storage::parse_image_key(key).image);
            co_return std::move(*stand_in);
        }
        made = co_await variants_->make(loop_, key, std::min(left_until(until_ms), wait));
    }
    if (made.error) co_return not_made(head, key, *made.error);
    if (made.unstored) {
        if (auto kept_out = co_await keep_from_showing(head, wanted))
            co_return std::move(*kept_out);
        count_view(head, storage::parse_image_key(key).image);
        http::Response response = made_now(head, made, kNoStore);
        co_return response;
    }
    FileFinder::Found found = co_await finder_.find_anew(loop_, key);
    if (found.error) co_return failed(head, key, *found.error);
    if (!found.file) co_return failed(head, key, {ErrorKind::busy, "it was removed again"});
    http::Response response =
        co_await respond_file(head, std::move(wanted.key), std::move(found.file), false);
    co_return response;
}

// No pool has this variant, which is made when its original is uploaded and not when it is asked
// for. Its URL is announced before that is done, so until then nobody may keep that it is absent.
loop::Task<http::Response> FileHandler::respond_expected(const http::RequestHead& head,
                                                         Wanted wanted) {
    Stores& stores = finder_.stores();
    const auto image = storage::parse_image_key(wanted.key).image;
    if (stores.catalog() == nullptr || !image)
        co_return absent(head, wanted.key, kStatusAbsentMiss);
    const auto known = co_await loop::offload(loop_, stores.catalog_workers(), loop::Lane::quick,
                                              [&] { return stores.catalog()->find_image(*image); });
    if (!known) co_return failed(head, wanted.key, known.error());
    if (!*known) co_return absent(head, wanted.key, kStatusAbsentMiss);
    if ((*known)->state == storage::ImageRecord::State::incomplete)
        co_return failed(head, wanted.key, {ErrorKind::busy, "it is still to be made"});
    // It may have become complete since the look that found nothing.
    FileFinder::Found found = co_await finder_.find_anew(loop_, wanted.key);
    if (found.error) co_return failed(head, wanted.key, *found.error);
    if (!found.file) co_return absent(head, wanted.key, kStatusAbsentMiss);
    http::Response response =
        co_await respond_file(head, std::move(wanted.key), std::move(found.file), false);
    co_return response;
}

conf::Milliseconds FileHandler::left_until(std::uint64_t until_ms) const {
    const std::uint64_t now_ms = loop_.now_ms();
    return conf::Milliseconds(until_ms > now_ms ? until_ms - now_ms : 0);
}

// Another variant of the image in the place of this one, which is still being made: one that is
// ready, else one that is within that time. Or what is answered to who may not see it any more.
loop::Task<std::optional<http::Response>> FileHandler::respond_stand_in(
    const http::RequestHead& head, Wanted& wanted, conf::Milliseconds wait) {
    const std::vector<VariantMaker::StandIn> stand_ins = variants_->stand_ins(wanted.key);
    for (const VariantMaker::StandIn& other : stand_ins) {
        auto response = co_await stand_in(head, wanted, other.key);
        if (response) co_return response;
    }
    for (const VariantMaker::StandIn& other : stand_ins) {
        if (!other.is_quick) continue;
        const VariantMaker::Outcome made = co_await variants_->make(loop_, other.key, wait);
        if (is_not_ready(made)) break;  // neither would others be
        if (made.error) continue;
        if (made.unstored) {
            if (auto kept_out = co_await keep_from_showing(head, wanted)) co_return kept_out;
            co_return made_now(head, made, stand_in_fields(other.key));
        }
        auto response = co_await stand_in(head, wanted, other.key);
        if (response) co_return response;
    }
    co_return std::nullopt;
}

// A stand-in is seen for seconds, by the one who asked: it lives under a name that is not its own.
std::string FileHandler::stand_in_fields(std::string_view key) const {
    const auto lifetime =
        std::chrono::duration_cast<std::chrono::seconds>(variants_->settings().stand_in_lifetime);
    return fmt::format(
        "Content-Location: /{}\r\nCache-Control: private, max-age={}\r\nCDN-Cache-Control: "
        "no-store\r\nCloudflare-CDN-Cache-Control: no-store\r\n{}",
        storage::encode_path(key), lifetime.count(), kStatusStandIn);
}

// Nothing where it is not there, or its bytes cannot be had now. Whole: it has no validator that
// fits the name.
loop::Task<std::optional<http::Response>> FileHandler::stand_in(const http::RequestHead& head,
                                                                Wanted& wanted,
                                                                const std::string& key) {
    std::shared_ptr<const CachedFile> file = (co_await finder_.find(loop_, key)).file;
    if (!file) co_return std::nullopt;
    if (auto kept_out = keep_out(head, wanted, file->is_private)) co_return kept_out;
    if (file->is_deleted()) co_return gone(head, wanted.key, *file, kStatusAbsentMiss);
    if (file->is_redirected) co_return std::nullopt;
    const std::uint64_t size = file->identity.size;
    const bool has_body = head.method == http::Method::get && size > 0;
    Bodies bodies;
    if (has_body && file->held == CachedFile::Held::remote) {
        auto body = co_await origin_.open({loop_, fetcher_}, file->remote, {0, size}, {});
        if (!body) co_return std::nullopt;
        bodies.push_back(std::move(*body));
    }
    http::Response response = head_of(file->content_type, size, stand_in_fields(key));
    if (has_body) response.parts.push_back(slice(file, 0, size, bodies, 0));
    response.source = file->remote ? http::Source::origin : http::Source::disk;
    response.owner = std::move(file);
    co_return response;
}

http::Response FileHandler::head_of(std::string_view content_type, std::uint64_t size,
                                    std::string_view fields) {
    http::Response response;
    response.head = fmt::format(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\nX-Content-Type-Options: "
        "nosniff\r\n{}",
        content_type, size, fields);
    response.body_bytes = size;
    return response;
}

http::Response FileHandler::not_made(const http::RequestHead& head, std::string_view key,
                                     const Error& error) {
    if (error.store) return failed(head, key, error);
    if (error.kind == ErrorKind::not_found) return absent(head, key, kStatusAbsentMiss);
    if (error.kind == ErrorKind::corrupt)
        return problem(&head, 422, key, "the original cannot be decoded");
    if (error.kind == ErrorKind::too_large)
        return problem(&head, 422, key, "the original is too large");
    return failed(head, key, error);
}

// What no pool has (yet): it goes with this answer.
http::Response FileHandler::made_now(const http::RequestHead& head,
                                     const VariantMaker::Outcome& variant,
                                     std::string_view fields) {
    const std::uint64_t size = variant.unstored->identity().size;
    http::Response response = head_of(type_of(variant.format), size, fields);
    response.source = http::Source::disk;
    if (head.method == http::Method::get && size > 0)
        response.parts.push_back(http::FilePart{variant.unstored, &variants_->readers(), 0, size});
    return response;
}

}  // namespace tidepool::serve
