// What may be uploaded, by the file's name (contracts: pixelfox.md, Keys, paths and URLs). Pure.
#pragma once

#include <string_view>

namespace tidepool::upload {

struct AcceptedType {
    std::string_view extension;
    std::string_view type;  // that a file of that name has to be
};

// By its extension, in any case; null where that is not taken. Lives for ever.
const AcceptedType* accepted_type(std::string_view file_name);

}  // namespace tidepool::upload
