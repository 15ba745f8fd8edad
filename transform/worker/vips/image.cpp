#include "transform/worker/vips/image.h"

#include <mutex>
#include <string>
#include <string_view>

#include <vips/vector.h>

namespace tidepool::transform {

namespace {

constexpr std::size_t kErrorTextBytes = 300;

// What libvips warns of is about a source that it can read in spite of it.
void ignore_message(const char*, GLogLevelFlags, const char*, void*) {}

}  // namespace

int Image::number(const char* field, int otherwise) const {
    int value = 0;
    if (!has(field) || vips_image_get_int(image_, field, &value) != 0) {
        vips_error_clear();
        return otherwise;
    }
    return value;
}

std::span<const char> Image::blob(const char* field) const {
    const void* data = nullptr;
    std::size_t bytes = 0;
    if (!has(field)) return {};
    if (vips_image_get_blob(image_, field, &data, &bytes) != 0) {
        vips_error_clear();
        return {};
    }
    return {static_cast<const char*>(data), bytes};
}

std::unexpected<Error> fail_vips(ErrorKind kind, const char* doing) {
    std::string text = doing;
    text += ": ";
    // Several lines, of which the first say what went wrong first.
    for (const char c : std::string_view(vips_error_buffer()).substr(0, kErrorTextBytes))
        text += c == '\n' ? ';' : c;
    vips_error_clear();
    // As libvips says it wherever it gets none.
    if (text.contains("out of memory")) {
        kind = ErrorKind::too_large;
        text += ": more than a worker may have";
    }
    return fail(kind, std::move(text));
}

Result<void> start_vips() {
    static std::once_flag once;
    static bool started = false;
    std::call_once(once, [] {
        for (const GLogLevelFlags level :
             {G_LOG_LEVEL_WARNING, G_LOG_LEVEL_MESSAGE, G_LOG_LEVEL_INFO, G_LOG_LEVEL_DEBUG})
            g_log_set_handler("VIPS", level, ignore_message, nullptr);
        started = vips_init("tidepool") == 0;
        if (!started) return;
        vips_concurrency_set(1);
        vips_cache_set_max(0);
        // It would compile loops at run time, which needs memory that is writable and executable:
        // no worker may have such, and under systemd's MemoryDenyWriteExecute there is none. (A few
        // operations, such as vips_abs, do so all the same: they cannot be used.)
        vips_vector_set_enabled(FALSE);
        vips_block_untrusted_set(TRUE);
        // Not fuzzed either, but it only reads what was decoded before.
        vips_operation_block_set("VipsForeignSaveJxl", FALSE);
    });
    if (!started) return fail_vips(ErrorKind::misconfigured, "start libvips");
    return {};
}

}  // namespace tidepool::transform
