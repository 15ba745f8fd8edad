#include "transform/worker/vips/jpeg_source.h"

#include "transform/image_walk.h"

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <jpeglib.h>
// After jpeglib.h, which it needs.
#include <jerror.h>

namespace tidepool::transform {

namespace {

// A progressive picture has ten scans or so; libjpeg's own scripts have up to 18 (CMYK). A pass
// over a hundred megapixels takes a third of a second.
constexpr int kFewestScans = 18;
constexpr int kMostScans = 100;
constexpr std::uint64_t kMostScannedPixels = 400'000'000;
constexpr int kStrip = 16;  // rows that are decoded at a time

// A libjpeg decoder. Its errors leave it by a jump over libjpeg's own frames, none of which holds
// anything; so no function here that calls libjpeg may hold anything either.
class Decoder {
  public:
    Decoder() {
        jpeg_.err = jpeg_std_error(&errors_);
        errors_.error_exit = &Decoder::leave;
        errors_.output_message = [](j_common_ptr) {};
        jpeg_.client_data = this;
    }
    ~Decoder() { jpeg_destroy_decompress(&jpeg_); }
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    // False where it failed; text() says why.
    bool start(std::span<const char> bytes, int shrink) {
        if (setjmp(on_error_) != 0) return false;
        jpeg_create_decompress(&jpeg_);
        source_.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
        source_.bytes_in_buffer = bytes.size();
        source_.init_source = [](j_decompress_ptr) {};
        source_.fill_input_buffer = &Decoder::at_end;
        source_.skip_input_data = &Decoder::skip;
        source_.resync_to_restart = jpeg_resync_to_restart;
        source_.term_source = [](j_decompress_ptr) {};
        jpeg_.src = &source_;
        progress_.progress_monitor = &Decoder::count_scans;
        jpeg_.progress = &progress_;
        jpeg_read_header(&jpeg_, TRUE);
        jpeg_.scale_num = 1;
        jpeg_.scale_denom = static_cast<unsigned>(shrink);
        jpeg_start_decompress(&jpeg_);
        return true;
    }

    int width() const { return static_cast<int>(jpeg_.output_width); }
    int height() const { return static_cast<int>(jpeg_.output_height); }
    int bands() const { return jpeg_.output_components; }
    int next_row() const { return static_cast<int>(jpeg_.output_scanline); }
    const char* text() const { return text_; }

    // False where it failed, now or before.
    bool read_row(std::uint8_t* to) {
        if (has_failed_ || setjmp(on_error_) != 0) return false;
        jpeg_read_scanlines(&jpeg_, &to, 1);
        return true;
    }

  private:
    static Decoder& of(j_common_ptr jpeg) { return *static_cast<Decoder*>(jpeg->client_data); }

    [[noreturn]] static void leave(j_common_ptr jpeg) {
        Decoder& self = of(jpeg);
        self.has_failed_ = true;
        self.errors_.format_message(jpeg, self.text_);
        std::longjmp(self.on_error_, 1);  // NOLINT(cert-err52-cpp): the one way out of libjpeg
    }
    static boolean at_end(j_decompress_ptr jpeg) {
        ERREXIT(jpeg, JERR_INPUT_EOF);
        return FALSE;
    }
    static void skip(j_decompress_ptr jpeg, long count) {
        if (count <= 0) return;
        const auto most = static_cast<long>(jpeg->src->bytes_in_buffer);
        const auto skipped = static_cast<std::size_t>(std::min(count, most));
        jpeg->src->next_input_byte += skipped;
        jpeg->src->bytes_in_buffer -= skipped;
        if (count > most) at_end(jpeg);
    }
    // Of a file in which check_jpeg_scans does not see them all, as its structure is broken. Called
    // by libvips' threads, so it reads nothing of this object, which another one made.
    static void count_scans(j_common_ptr any) {
        if (any->is_decompressor == FALSE) return;
        const auto* const jpeg = reinterpret_cast<j_decompress_ptr>(any);
        const std::uint64_t pixels = std::uint64_t{jpeg->image_width} * jpeg->image_height;
        if (jpeg->input_scan_number > most_jpeg_scans(pixels)) ERREXIT(any, JERR_BAD_PROGRESSION);
    }

    jpeg_decompress_struct jpeg_{};
    jpeg_error_mgr errors_{};
    jpeg_source_mgr source_{};
    jpeg_progress_mgr progress_{};
    std::jmp_buf on_error_{};
    char text_[JMSG_LENGTH_MAX]{};
    bool has_failed_ = false;
};

int generate(VipsRegion* out, void*, void* data, void*, gboolean*) {
    auto& decoder = *static_cast<Decoder*>(data);
    const VipsRect& wanted = out->valid;
    if (wanted.left != 0 || wanted.width != decoder.width() || wanted.top != decoder.next_row()) {
        vips_error("jpeg", "rows %d to %d are not the next ones", wanted.top,
                   wanted.top + wanted.height - 1);
        return -1;
    }
    for (int y = wanted.top; y < wanted.top + wanted.height; ++y) {
        if (!decoder.read_row(VIPS_REGION_ADDR(out, 0, y))) {
            vips_error("jpeg", "%s", decoder.text());
            return -1;
        }
    }
    return 0;
}

void end_decoder(VipsImage*, void* data) {
    const std::unique_ptr<Decoder> ended(static_cast<Decoder*>(data));
}

}  // namespace

bool is_plain_jpeg(const Image& head) {
    const int bands = vips_image_get_bands(head.get());
    const VipsInterpretation space = vips_image_get_interpretation(head.get());
    return vips_image_get_format(head.get()) == VIPS_FORMAT_UCHAR &&
           ((bands == 3 && space == VIPS_INTERPRETATION_sRGB) ||
            (bands == 1 && space == VIPS_INTERPRETATION_B_W));
}

int most_jpeg_scans(std::uint64_t pixels) {
    const std::uint64_t most = kMostScannedPixels / std::max<std::uint64_t>(pixels, 1);
    return std::clamp(static_cast<int>(std::min<std::uint64_t>(most, kMostScans)), kFewestScans,
                      kMostScans);
}

Result<void> check_jpeg_scans(const Image& head, std::span<const char> bytes) {
    const int most = most_jpeg_scans(static_cast<std::uint64_t>(head.width()) *
                                     static_cast<std::uint64_t>(head.height()));
    int scans = 0;
    walk_jpeg({bytes.data(), bytes.size()},
              [&scans](const ImagePart& part) { scans += part.name == "\xDA" ? 1 : 0; });
    if (scans <= most) return {};
    return fail(ErrorKind::corrupt,
                fmt::format("decode: jpeg: {} scans, and at most {} are decoded of {} x {} pixels",
                            scans, most, head.width(), head.height()));
}

Result<Image> open_jpeg(const Image& head, std::span<const char> bytes, int shrink) {
    auto decoder = std::make_unique<Decoder>();
    if (!decoder->start(bytes, shrink))
        return fail(ErrorKind::corrupt, std::string("decode: jpeg: ") + decoder->text());
    if (decoder->bands() != vips_image_get_bands(head.get()))
        return fail(ErrorKind::corrupt, "decode: jpeg: other colours than its head said");
    const Image rows(vips_image_new());
    if (vips_image_pipelinev(rows.get(), VIPS_DEMAND_STYLE_THINSTRIP, head.get(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "decode");
    rows.get()->Xsize = decoder->width();
    rows.get()->Ysize = decoder->height();
    Decoder* const lent = decoder.release();  // to the image, which ends it
    g_signal_connect(rows.get(), "close", G_CALLBACK(end_decoder), lent);
    Image out;
    if (vips_image_generate(rows.get(), nullptr, generate, nullptr, lent, nullptr) != 0 ||
        vips_sequential(rows.get(), out.slot(), "tile_height", kStrip, nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "decode");
    return out;
}

}  // namespace tidepool::transform
