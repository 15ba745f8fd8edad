// The part of FileHandler that keeps variants and lifetimes of private images from others.
#include "conf/url_path.h"
#include "proxy/serve/handler.h"

#include <utility>
#include <vector>

namespace tidepool::serve {

// A variant that no pool has is made for nobody who may not see its image, of which the catalog may
// not know yet that it lives in a private folder.
loop::Task<std::optional<http::Response>> FileHandler::keep_from_making(
    const http::RequestHead& head, Wanted& wanted, const FileFinder::Found& found) {
    if (wanted.is_let_in) co_return std::nullopt;
    if (found.is_private) co_return keep_out(head, wanted, true);
    std::vector<std::string> originals = variants_->originals_of(wanted.key);
    const auto is_private = co_await finder_.is_in_private_folder(loop_, std::move(originals));
    if (!is_private) co_return failed(head, wanted.key, is_private.error());
    co_return keep_out(head, wanted, *is_private);
}

// What was made while the client waited, or is held in memory, is judged again just before it is
// sent: somebody may have hidden or deleted the image meanwhile.
loop::Task<std::optional<http::Response>> FileHandler::keep_from_showing(
    const http::RequestHead& head, Wanted& wanted) {
    FileFinder::Found found = co_await finder_.find_anew(loop_, wanted.key);
    if (found.error) co_return failed(head, wanted.key, *found.error);
    if (!found.file) {
        auto kept_out = co_await keep_from_making(head, wanted, found);
        co_return kept_out;
    }
    auto kept_out = keep_out(head, wanted, found.file->is_private);
    if (!kept_out && found.file->is_deleted())
        kept_out = gone(head, wanted.key, *found.file, kStatusAbsentMiss);
    co_return kept_out;
}

// Whether a rule of the edge asks who requests this path for a signature, before its cache: rules
// know what is below a prefix, by the path's text. They know no variant by a signed path, and no
// other spelling.
bool FileHandler::is_asked_by_edge(const http::RequestHead& head) const {
    const PrivateRules& access = rules_.serve->access;
    std::string key;
    if (!access.edge_checks() || key_of(head.path, key) != storage::KeyVerdict::good) return false;
    const bool is_signed = rules_.signed_variants != nullptr && rules_.signed_variants->read(key);
    return !is_signed && access.covers(key) && conf::is_spelt_plainly(head.path);
}

// The same file, of which no shared cache keeps an answer.
std::shared_ptr<const CachedFile> FileHandler::for_asker_alone(
    std::shared_ptr<const CachedFile> file) const {
    auto alone = std::make_shared<CachedFile>(*file);
    alone->is_unshared = true;
    describe(*alone, {}, file->etag(), rules_.serve->policy, loop_.wall_s());
    alone->image = file->image;
    return alone;
}

std::string FileHandler::lifetime_of(std::string_view key, int status, bool is_unshared) const {
    const ServeRules& rules = *rules_.serve;
    const bool is_covered = !rules.access.edge_checks() && rules.access.covers(key);
    if (is_unshared || is_covered) return std::string(kNoStore);
    constexpr std::string_view kType = "text/plain; charset=utf-8";
    return rules.policy.lines(key, status, kType) +
           rules.policy.tag_line({key, {}, std::nullopt}, status, kType);
}

}  // namespace tidepool::serve
