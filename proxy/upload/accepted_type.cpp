#include "proxy/upload/accepted_type.h"

#include "conf/ascii.h"

#include <algorithm>
#include <array>
#include <string>

namespace tidepool::upload {

namespace {

constexpr std::array<AcceptedType, 7> kAccepted{{{"jpg", "image/jpeg"},
                                                 {"jpeg", "image/jpeg"},
                                                 {"png", "image/png"},
                                                 {"gif", "image/gif"},
                                                 {"webp", "image/webp"},
                                                 {"avif", "image/avif"},
                                                 {"bmp", "image/bmp"}}};

}  // namespace

const AcceptedType* accepted_type(std::string_view file_name) {
    const std::size_t dot = file_name.rfind('.');
    if (dot == file_name.npos) return nullptr;
    const std::string extension = conf::lower_case(file_name.substr(dot + 1));
    const auto found = std::ranges::find(kAccepted, extension, &AcceptedType::extension);
    return found == kAccepted.end() ? nullptr : &*found;
}

}  // namespace tidepool::upload
