#include "storage/finding.h"

namespace tidepool::storage {

namespace {

bool differ(const std::string& one, const std::string& other) {
    return !one.empty() && !other.empty() && one != other;
}

}  // namespace

std::string_view name_of(FindingKind kind) {
    switch (kind) {
        case FindingKind::missing_object:
            return "missing_object";
        case FindingKind::unknown_object:
            return "unknown_object";
        case FindingKind::elsewhere:
            return "elsewhere";
        case FindingKind::wrong_size:
            return "wrong_size";
        case FindingKind::wrong_hash:
            return "wrong_hash";
        case FindingKind::stale_row:
            return "stale_row";
        case FindingKind::late_variant:
            return "late_variant";
        case FindingKind::hidden_version:
            return "hidden_version";
        case FindingKind::stray_upload:
            return "stray_upload";
        case FindingKind::stray_temporary:
            return "stray_temporary";
    }
    return "";
}

Match compare(const ObjectRecord& row, const ObjectInfo& object) {
    if (row.size != object.size) return Match::wrong_size;
    const bool has_other_etag = differ(row.store_etag, object.etag);
    if (row.sha256 && object.sha256) {
        if (row.sha256 != object.sha256) return Match::wrong_hash;
    } else if (has_other_etag) {
        return Match::unsure;
    }
    const bool is_stale = has_other_etag || differ(row.version_id, object.version_id);
    return is_stale ? Match::stale_row : Match::same;
}

}  // namespace tidepool::storage
