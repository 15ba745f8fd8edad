#include "transform/strip_avif.h"

#include "transform/image_walk.h"
#include "transform/octets.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tidepool::transform {

namespace {

using namespace std::string_view_literals;

constexpr std::string_view kNotFollowed = "the AVIF says in an unknown way where its metadata is";
constexpr std::string_view kOutside = "the AVIF has an item outside of the file";

// Of boxes and extents that are remembered: far more than a picture of 256 by 256 tiles has. It
// bounds memory and time.
constexpr std::size_t kMostRanges = 1 << 18;

// Bytes of the file, counted from its beginning; all of them are in it.
struct Range {
    enum class Kind : std::uint8_t { kept, personal, exif };  // exif: begins an item of that kind
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    Kind kind = Kind::kept;
};

// Shows the boxes in `content` as ISO/IEC 14496-12, 4.2 has them, until one does not end in it:
// returns false then.
template <class OnBox>
bool each_box(std::string_view content, OnBox on_box) {
    while (!content.empty()) {
        if (content.size() < BoxHead::kLeastBytes) return false;
        const auto [head, length] = box_head_at(content, 0);
        if (length < head || length > content.size()) return false;
        on_box(ImagePart{content.substr(4, 4), content.substr(0, length),
                         content.substr(head, length - head)});
        content.remove_prefix(length);
    }
    return true;
}

// Reads one after another what a box holds. Once something is not there, all is 0 or "".
class BoxReader {
  public:
    explicit BoxReader(std::string_view bytes) : rest_(bytes) {}

    // Of at most eight bytes; of none it is 0.
    std::uint64_t number(std::size_t count) {
        const std::string_view read = text(count);
        return big_number(read, 0, read.size());
    }
    std::string_view text(std::size_t count) {
        if (rest_.size() < count) has_failed_ = true;
        if (has_failed_) return {};
        const std::string_view read = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return read;
    }
    std::string_view rest() const { return rest_; }
    bool has_failed() const { return has_failed_; }

  private:
    std::string_view rest_;
    bool has_failed_ = false;
};

// Finds what is to be overwritten, before anything is. Borrows the file.
class AvifSearch {
  public:
    explicit AvifSearch(std::string_view file) : file_(file) {}

    // Returns what is wrong, or "".
    std::string_view run();

    // The following are right once run() has found nothing wrong.
    std::string_view image() const { return file_; }              // without what follows it
    const std::vector<Range>& ranges() const { return ranges_; }  // by their beginning
    // Where names of boxes are that are to become free ones.
    const std::vector<std::uint64_t>& freed_names() const { return freed_names_; }

  private:
    struct Item {
        Range::Kind kind = Range::Kind::kept;
        bool has_place = false;
    };
    // Contents of a meta box: a file has one, and in a moving picture each track can have one.
    struct Meta {
        std::string_view information;  // iinf
        std::string_view locations;    // iloc
        std::string_view data;         // idat
        std::map<std::uint64_t, Item> items{};
    };
    // What an item's entry in iloc says of all its extents.
    struct Place {
        Range::Kind kind = Range::Kind::kept;
        std::uint64_t method = 0;
        std::uint64_t source = 0;  // 0 = this file
        std::uint64_t base = 0;
    };

    void give_up(std::string_view why) {
        if (wrong_.empty()) wrong_ = why;
    }
    void add(std::string_view bytes, Range::Kind kind);
    void free_box(const ImagePart& box);
    void find_end();
    void erase_times(std::string_view header);
    void look_in_movie(std::string_view movie);
    void look_in_track(std::string_view track);
    void look_in_meta(std::string_view content);
    void read_information(Meta& meta);
    void read_locations(Meta& meta);
    void read_extent(const Meta& meta, const Place& place, std::uint64_t offset,
                     std::uint64_t length);
    bool is_in_media(std::string_view bytes) const;
    void look_for_overlaps();

    std::string_view file_;
    std::string_view wrong_;
    std::vector<std::string_view> media_;  // contents of mdat, in their order
    std::vector<Range> ranges_;
    std::vector<std::uint64_t> freed_names_;
};

void AvifSearch::add(std::string_view bytes, Range::Kind kind) {
    if (ranges_.size() == kMostRanges) return give_up("the AVIF has too many parts");
    const auto begin = static_cast<std::uint64_t>(bytes.data() - file_.data());
    ranges_.push_back({begin, begin + bytes.size(), kind});
}

void AvifSearch::free_box(const ImagePart& box) {
    add(box.content, Range::Kind::personal);
    if (wrong_.empty())
        freed_names_.push_back(static_cast<std::uint64_t>(box.bytes.data() - file_.data()) + 4);
}

// Cameras append boxes of their own, films above all, and others whole files.
void AvifSearch::find_end() {
    constexpr std::array kImageBoxes{"ftyp"sv, "meta"sv, "mdat"sv, "moov"sv,
                                     "moof"sv, "free"sv, "skip"sv, "idat"sv};
    std::size_t end = 0;
    bool has_second = false;
    const std::string_view wrong = walk_avif(file_, [&](const ImagePart& box) {
        has_second = has_second || (box.name == "ftyp" && end != 0);
        if (has_second || std::ranges::find(kImageBoxes, box.name) == kImageBoxes.end()) return;
        end = static_cast<std::size_t>(box.bytes.data() - file_.data()) + box.bytes.size();
        if (box.name != "mdat") return;
        if (media_.size() == kMostRanges) return give_up("the AVIF has too many parts");
        media_.push_back(box.content);
    });
    if (!wrong.empty()) return give_up(wrong);
    file_ = file_.substr(0, end);
}

// ISO/IEC 14496-12, 8.2.2, 8.3.2 and 8.4.2: when it was made and changed, behind version and flags.
void AvifSearch::erase_times(std::string_view header) {
    BoxReader reader(header);
    const std::size_t bytes = reader.number(4) >> 24 == 0 ? 4 : 8;
    const std::string_view times = reader.text(2 * bytes);
    if (reader.has_failed()) return give_up(kNotFollowed);
    add(times, Range::Kind::personal);
}

void AvifSearch::look_in_track(std::string_view track) {
    const bool fits = each_box(track, [&](const ImagePart& box) {
        if (box.name == "udta" || box.name == "uuid") free_box(box);
        if (box.name == "meta") look_in_meta(box.content);
        if (box.name == "tkhd") erase_times(box.content);
        if (box.name != "mdia") return;
        const bool media_fits = each_box(box.content, [&](const ImagePart& inner) {
            if (inner.name == "mdhd") erase_times(inner.content);
        });
        if (!media_fits) give_up(kNotFollowed);
    });
    if (!fits) give_up(kNotFollowed);
}

void AvifSearch::look_in_movie(std::string_view movie) {
    const bool fits = each_box(movie, [&](const ImagePart& box) {
        if (box.name == "udta" || box.name == "uuid") free_box(box);
        if (box.name == "meta") look_in_meta(box.content);
        if (box.name == "mvhd") erase_times(box.content);
        if (box.name == "trak") look_in_track(box.content);
    });
    if (!fits) give_up(kNotFollowed);
}

// ISO/IEC 14496-12, 8.11.1.
void AvifSearch::look_in_meta(std::string_view content) {
    BoxReader reader(content);
    reader.number(4);  // version and flags
    Meta meta;
    const bool fits = each_box(reader.rest(), [&](const ImagePart& box) {
        const auto take = [&](std::string_view& into) {
            if (!into.empty()) give_up(kNotFollowed);  // readers differ in which one they take
            into = box.content;
        };
        if (box.name == "iinf") take(meta.information);
        if (box.name == "iloc") take(meta.locations);
        if (box.name == "idat") take(meta.data);
        if (box.name == "uuid" || box.name == "udta" || box.name == "xml " || box.name == "bxml")
            free_box(box);
    });
    if (reader.has_failed() || !fits) give_up(kNotFollowed);
    if (!wrong_.empty()) return;
    if (!meta.information.empty()) read_information(meta);
    if (!meta.locations.empty()) read_locations(meta);
    for (const auto& [number, item] : meta.items) {
        if (item.kind != Range::Kind::kept && !item.has_place) give_up(kNotFollowed);
    }
}

// ISO/IEC 14496-12, 8.11.6. All that is of a MIME type goes, XMP above all: no image is.
void AvifSearch::read_information(Meta& meta) {
    BoxReader reader(meta.information);
    const std::uint64_t version = reader.number(4) >> 24;
    reader.number(version == 0 ? 2 : 4);  // how many there are
    const bool fits = each_box(reader.rest(), [&](const ImagePart& box) {
        if (box.name != "infe") return;
        BoxReader entry(box.content);
        const std::uint64_t entry_version = entry.number(4) >> 24;
        const std::uint64_t number = entry.number(entry_version == 2 ? 2 : 4);
        entry.number(2);  // how it is protected
        const std::string_view type = entry.text(4);
        // Older versions have no kinds, and images cannot be made of their items.
        const bool is_known = entry_version == 2 || entry_version == 3;
        if (!is_known || entry.has_failed()) return give_up(kNotFollowed);
        if (meta.items.size() == kMostRanges) return give_up("the AVIF has too many parts");
        const auto kind = type == "Exif"   ? Range::Kind::exif
                          : type == "mime" ? Range::Kind::personal
                                           : Range::Kind::kept;
        if (!meta.items.try_emplace(number, Item{kind}).second)
            give_up("the AVIF has two items of one number");
    });
    if (reader.has_failed() || !fits) give_up(kNotFollowed);
}

// ISO/IEC 14496-12, 8.11.3.
void AvifSearch::read_locations(Meta& meta) {
    constexpr std::uint64_t kMostVersion = 2;
    BoxReader reader(meta.locations);
    const std::uint64_t version = reader.number(4) >> 24;
    const std::uint64_t sizes = reader.number(2);
    const std::array bytes{sizes >> 12, sizes >> 8 & 0xF, sizes >> 4 & 0xF,
                           version == 0 ? 0 : sizes & 0xF};
    const auto [offset_bytes, length_bytes, base_bytes, index_bytes] = bytes;
    const bool are_right = std::ranges::all_of(
        bytes, [](auto count) { return count == 0 || count == 4 || count == 8; });
    if (version > kMostVersion || !are_right) return give_up(kNotFollowed);
    const std::uint64_t count = reader.number(version < 2 ? 2 : 4);
    for (std::uint64_t i = 0; i < count && !reader.has_failed() && wrong_.empty(); ++i) {
        const std::uint64_t number = reader.number(version < 2 ? 2 : 4);
        Place place;
        if (version > 0) place.method = reader.number(2) & 0xF;
        place.source = reader.number(2);
        place.base = reader.number(base_bytes);
        const std::uint64_t extents = reader.number(2);
        // Of those that take no bytes there could be any number.
        if (extents > 1 && offset_bytes + length_bytes == 0) return give_up(kNotFollowed);
        if (const auto item = meta.items.find(number); item != meta.items.end()) {
            item->second.has_place = true;
            place.kind = item->second.kind;
        }
        for (std::uint64_t j = 0; j < extents && !reader.has_failed() && wrong_.empty(); ++j) {
            reader.number(index_bytes);
            const std::uint64_t offset = reader.number(offset_bytes);
            const std::uint64_t length = reader.number(length_bytes);
            if (reader.has_failed()) break;
            read_extent(meta, place, offset, length);
            if (place.kind == Range::Kind::exif) place.kind = Range::Kind::personal;
        }
    }
    if (reader.has_failed()) give_up(kNotFollowed);
}

void AvifSearch::read_extent(const Meta& meta, const Place& place, std::uint64_t offset,
                             std::uint64_t length) {
    const bool is_kept = place.kind == Range::Kind::kept;
    const bool is_here = place.source == 0 && place.method <= 1;
    // A length of 0 means all there is. No image is that, and metadata is not alone in the file.
    if (!is_here || length == 0) {
        if (!is_kept) give_up(kNotFollowed);
        return;
    }
    const std::string_view within = place.method == 0 ? file_ : meta.data;
    if (place.base > within.size() || offset > within.size() - place.base ||
        length > within.size() - place.base - offset)
        return give_up(kOutside);
    const std::string_view bytes = within.substr(place.base + offset, length);
    // Elsewhere than among data it would be the structure that is overwritten.
    if (!is_kept && place.method == 0 && !is_in_media(bytes)) return give_up(kNotFollowed);
    add(bytes, place.kind);
}

bool AvifSearch::is_in_media(std::string_view bytes) const {
    const auto next = std::ranges::upper_bound(media_, bytes.data(), {}, &std::string_view::data);
    if (next == media_.begin()) return false;
    const std::string_view media = *std::prev(next);
    const auto offset = static_cast<std::size_t>(bytes.data() - media.data());
    return offset <= media.size() && bytes.size() <= media.size() - offset;
}

// Metadata may overlap: a moving picture's tracks share it with the still one. Nothing else may.
void AvifSearch::look_for_overlaps() {
    std::ranges::sort(ranges_, {}, &Range::begin);
    std::uint64_t kept_end = 0;
    std::uint64_t personal_end = 0;
    for (const Range& range : ranges_) {
        const bool is_kept = range.kind == Range::Kind::kept;
        if (range.begin < (is_kept ? personal_end : kept_end) && range.begin != range.end)
            give_up("the AVIF has metadata and pixels in one place");
        std::uint64_t& end = is_kept ? kept_end : personal_end;
        end = std::max(end, range.end);
    }
}

std::string_view AvifSearch::run() {
    constexpr std::array kUntouched{"ftyp"sv, "mdat"sv, "moof"sv, "idat"sv};
    find_end();
    if (!wrong_.empty()) return wrong_;
    each_box(file_, [&](const ImagePart& box) {
        if (box.name == "meta") return look_in_meta(box.content);
        if (box.name == "moov") return look_in_movie(box.content);
        if (box.name == "free" || box.name == "skip")
            return add(box.content, Range::Kind::personal);
        if (std::ranges::find(kUntouched, box.name) == kUntouched.end()) free_box(box);
    });
    if (wrong_.empty()) look_for_overlaps();
    return wrong_;
}

// An item of Exif begins with where its TIFF header is (ISO/IEC 23008-12, A.2.1): at once. The
// header's directory is empty.
constexpr std::string_view kEmptyExif =
    "\0\0\0\0"
    "MM\0*\0\0\0\x08"
    "\0\0"
    "\0\0\0\0"sv;

// A stretch of the file, some of which is overwritten.
class Stretch {
  public:
    Stretch(std::string_view bytes, std::uint64_t begin)
        : bytes_(bytes), begin_(begin), end_(begin + bytes.size()) {}

    void erase(std::uint64_t begin, std::uint64_t end) {
        for (std::uint64_t at = std::max(begin, begin_); at < std::min(end, end_); ++at)
            bytes_[at - begin_] = '\0';
    }
    void write(std::uint64_t begin, std::string_view by) {
        for (std::uint64_t at = std::max(begin, begin_); at < std::min(begin + by.size(), end_);
             ++at)
            bytes_[at - begin_] = by[at - begin];
    }
    std::string_view bytes() const { return bytes_; }

  private:
    std::string bytes_;
    const std::uint64_t begin_;
    const std::uint64_t end_;
};

// Calls back for those of `sorted`, that are `length` long at most, which may reach into the
// stretch of the file from `begin` to `end`.
template <class OnPlace>
void each_near(const std::vector<std::uint64_t>& sorted, std::size_t length, std::uint64_t begin,
               std::uint64_t end, OnPlace on_place) {
    auto next = std::ranges::lower_bound(sorted, begin - std::min<std::uint64_t>(begin, length));
    for (; next != sorted.end() && *next < end; ++next)
        on_place(*next);
}

}  // namespace

std::string_view strip_avif(std::string_view file, StrippedOutput& out) {
    constexpr std::size_t kStretch = 64 << 10;
    AvifSearch search(file);
    const std::string_view wrong = search.run();
    if (!wrong.empty()) return wrong;
    std::vector<Range> erased;  // without overlaps
    std::vector<std::uint64_t> exifs;
    for (const Range& range : search.ranges()) {
        if (range.kind == Range::Kind::kept) continue;
        if (range.kind == Range::Kind::exif && range.end - range.begin >= kEmptyExif.size())
            exifs.push_back(range.begin);
        const std::uint64_t begin = std::max(range.begin, erased.empty() ? 0 : erased.back().end);
        if (begin < range.end) erased.push_back({begin, range.end, range.kind});
    }
    std::vector<std::uint64_t> names = search.freed_names();
    std::ranges::sort(names);
    auto next = erased.begin();
    for (std::uint64_t begin = 0; begin < search.image().size(); begin += kStretch) {
        Stretch stretch(search.image().substr(begin, kStretch), begin);
        const std::uint64_t end = begin + stretch.bytes().size();
        while (next != erased.end() && next->end <= begin)
            ++next;
        for (auto range = next; range != erased.end() && range->begin < end; ++range)
            stretch.erase(range->begin, range->end);
        each_near(exifs, kEmptyExif.size(), begin, end,
                  [&](std::uint64_t at) { stretch.write(at, kEmptyExif); });
        each_near(names, 4, begin, end, [&](std::uint64_t at) { stretch.write(at, "free"sv); });
        out.append(stretch.bytes());
    }
    return "";
}

}  // namespace tidepool::transform
