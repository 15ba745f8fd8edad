#include "storage/s3_xml.h"

#include "conf/hex_digit.h"

#include <charconv>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <pugixml.hpp>

namespace tidepool::storage {

namespace {

// A document whose root has one of two names. The store's namespace is of no interest.
class Document {
  public:
    explicit Document(std::string_view body) {
        if (body.empty() || body.size() > kMaxXmlBytes) return;
        // No DOCTYPE: entities of its own are never expanded.
        loaded_ = document_.load_buffer(body.data(), body.size(), pugi::parse_default,
                                        pugi::encoding_utf8);
    }
    pugi::xml_node root(const char* name) const {
        return loaded_ ? document_.child(name) : pugi::xml_node();
    }

  private:
    pugi::xml_document document_;
    bool loaded_ = false;
};

std::unexpected<Error> unexpected_answer(std::string_view wanted) {
    return fail(ErrorKind::io, fmt::format("the store's answer is not a {}", wanted));
}

std::string text_of(const pugi::xml_node& node, const char* name) {
    return node.child_value(name);
}

std::uint64_t number_of(const pugi::xml_node& node, const char* name) {
    const std::string_view text = node.child_value(name);
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

bool flag_of(const pugi::xml_node& node, const char* name) {
    return std::string_view(node.child_value(name)) == "true";
}

std::string unquoted(std::string text) {
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
        return text.substr(1, text.size() - 2);
    return text;
}

// What encoding-type=url did. A plus is a blank: stores that write %20 write %2B for a plus.
std::string decoded(std::string_view text) {
    std::string plain;
    plain.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = text[i] == '%' ? conf::escaped_byte(text.substr(i)) : std::nullopt;
        if (byte) {
            plain.push_back(static_cast<char>(*byte));
            i += 2;
        } else {
            plain.push_back(text[i] == '+' ? ' ' : text[i]);
        }
    }
    return plain;
}

// Text of a list, decoded where the store says that it encoded: one that does not know the
// parameter sends names as they are.
class Names {
  public:
    explicit Names(const pugi::xml_node& root)
        : encoded_(std::string_view(root.child_value("EncodingType")) == "url") {}
    std::string of(const pugi::xml_node& node, const char* name) const {
        const char* text = node.child_value(name);
        return encoded_ ? decoded(text) : text;
    }

  private:
    bool encoded_;
};

ListedVersion version_of(const pugi::xml_node& node, const Names& names, bool is_marker) {
    return {.name = names.of(node, "Key"),
            .version_id = text_of(node, "VersionId"),
            .is_marker = is_marker,
            .is_latest = flag_of(node, "IsLatest"),
            .size = number_of(node, "Size"),
            .modified_s = parse_iso_time(node.child_value("LastModified"))};
}

}  // namespace

std::optional<StoreErrorText> parse_error_xml(std::string_view body) {
    const Document document(body);
    const pugi::xml_node root = document.root("Error");
    if (!root) return std::nullopt;
    return StoreErrorText{text_of(root, "Code"), text_of(root, "Message"),
                          text_of(root, "RequestId")};
}

Result<ObjectListing> parse_object_listing(std::string_view body) {
    const Document document(body);
    const pugi::xml_node root = document.root("ListBucketResult");
    if (!root) return unexpected_answer("ListBucketResult");
    const Names names(root);
    ObjectListing listing;
    for (const pugi::xml_node& node : root.children("Contents")) {
        listing.objects.push_back({.name = names.of(node, "Key"),
                                   .size = number_of(node, "Size"),
                                   .modified_s = parse_iso_time(node.child_value("LastModified")),
                                   .etag = unquoted(text_of(node, "ETag"))});
    }
    listing.is_truncated = flag_of(root, "IsTruncated");
    listing.next_token = text_of(root, "NextContinuationToken");
    // Taken for the end, this would hide objects.
    if (listing.is_truncated && listing.next_token.empty())
        return unexpected_answer("list with a token to go on");
    return listing;
}

Result<VersionListing> parse_version_listing(std::string_view body) {
    const Document document(body);
    const pugi::xml_node root = document.root("ListVersionsResult");
    if (!root) return unexpected_answer("ListVersionsResult");
    const Names names(root);
    VersionListing listing;
    for (const pugi::xml_node& node : root.children()) {
        const std::string_view name = node.name();
        if (name == "Version") {
            listing.versions.push_back(version_of(node, names, false));
        } else if (name == "DeleteMarker") {
            listing.versions.push_back(version_of(node, names, true));
        }
    }
    listing.is_truncated = flag_of(root, "IsTruncated");
    listing.next_key = names.of(root, "NextKeyMarker");
    listing.next_version_id = text_of(root, "NextVersionIdMarker");
    if (listing.is_truncated && listing.next_key.empty())
        return unexpected_answer("list with a marker to go on");
    return listing;
}

Result<std::string> parse_upload_id(std::string_view body) {
    const Document document(body);
    std::string id = text_of(document.root("InitiateMultipartUploadResult"), "UploadId");
    if (id.empty()) return unexpected_answer("InitiateMultipartUploadResult");
    return id;
}

Result<PartListing> parse_part_listing(std::string_view body) {
    const Document document(body);
    const pugi::xml_node root = document.root("ListPartsResult");
    if (!root) return unexpected_answer("ListPartsResult");
    PartListing listing;
    for (const pugi::xml_node& node : root.children("Part")) {
        listing.parts.push_back({.number = static_cast<unsigned>(number_of(node, "PartNumber")),
                                 .size = number_of(node, "Size"),
                                 .etag = unquoted(text_of(node, "ETag"))});
    }
    if (flag_of(root, "IsTruncated"))
        listing.next = static_cast<unsigned>(number_of(root, "NextPartNumberMarker"));
    return listing;
}

Result<UploadListing> parse_upload_listing(std::string_view body) {
    const Document document(body);
    const pugi::xml_node root = document.root("ListMultipartUploadsResult");
    if (!root) return unexpected_answer("ListMultipartUploadsResult");
    const Names names(root);
    UploadListing listing;
    for (const pugi::xml_node& node : root.children("Upload")) {
        listing.uploads.push_back({.name = names.of(node, "Key"),
                                   .upload_id = text_of(node, "UploadId"),
                                   .initiated_s = parse_iso_time(node.child_value("Initiated"))});
    }
    listing.is_truncated = flag_of(root, "IsTruncated");
    listing.next_key = names.of(root, "NextKeyMarker");
    listing.next_upload_id = text_of(root, "NextUploadIdMarker");
    return listing;
}

Result<std::string> parse_result_etag(std::string_view body) {
    const Document document(body);
    pugi::xml_node root = document.root("CopyObjectResult");
    if (!root) root = document.root("CompleteMultipartUploadResult");
    if (!root) return unexpected_answer("result with an ETag");
    return unquoted(text_of(root, "ETag"));
}

std::string complete_upload_xml(std::span<const ListedPart> parts) {
    // ETags are hex of our store's own words, but escaped all the same by the library.
    pugi::xml_document document;
    pugi::xml_node root = document.append_child("CompleteMultipartUpload");
    for (const ListedPart& part : parts) {
        pugi::xml_node node = root.append_child("Part");
        node.append_child("PartNumber").text().set(part.number);
        node.append_child("ETag").text().set(("\"" + part.etag + "\"").c_str());
    }
    struct Writer : pugi::xml_writer {
        void write(const void* data, std::size_t size) override {
            text.append(static_cast<const char*>(data), size);
        }
        std::string text;
    };
    Writer writer;
    document.save(writer, "", pugi::format_raw | pugi::format_no_declaration);
    return std::move(writer.text);
}

std::int64_t parse_iso_time(std::string_view text) {
    using namespace std::chrono;
    // "YYYY-MM-DDTHH:MM:SS", then a fraction that is of no interest, then "Z".
    constexpr std::string_view kShape = "0000-00-00T00:00:00";
    if (text.size() <= kShape.size() || text.back() != 'Z') return 0;
    for (std::size_t i = 0; i < kShape.size(); ++i) {
        const bool digit = text[i] >= '0' && text[i] <= '9';
        if (kShape[i] == '0' ? !digit : text[i] != kShape[i]) return 0;
    }
    const auto number = [&](std::size_t at, std::size_t digits) {
        unsigned value = 0;
        std::from_chars(text.data() + at, text.data() + at + digits, value);
        return value;
    };
    const year_month_day date(year(static_cast<int>(number(0, 4))), month(number(5, 2)),
                              day(number(8, 2)));
    if (!date.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 60) return 0;
    const sys_seconds time =
        sys_days(date) + hours(number(11, 2)) + minutes(number(14, 2)) + seconds(number(17, 2));
    return time.time_since_epoch().count();
}

}  // namespace tidepool::storage
