// What the holder of a key may ask about images and itself: /api/v1/images and
// /api/v1/user/profile.
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/upload/upload_means.h"
#include "storage/catalog_records.h"

#include <string_view>

namespace tidepool::upload {

// These block; on a worker. An image of another owner is as absent as one that there is not.
api::ApiAnswer show_image(const UploadMeans& means, const storage::KeyRecord& key,
                          std::string_view uuid);
api::ApiAnswer show_status(const UploadMeans& means, const storage::KeyRecord& key,
                           std::string_view uuid);
api::ApiAnswer show_profile(const UploadMeans& means, const storage::KeyRecord& key);

}  // namespace tidepool::upload
