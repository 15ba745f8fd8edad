// /api/admin/v1/images: which images there are, and images as a whole.
#pragma once

#include "proxy/api/api_answer.h"
#include "storage/catalog.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::api {

inline constexpr std::string_view kImagesPath = "/api/admin/v1/images";

struct ImageMeans {
    storage::Catalog* catalog = nullptr;  // outlives the call
    // These keys are gone for readers from now on.
    std::function<void(const std::vector<std::string>& keys)> deleted{};
    // It has become another who may see this image.
    std::function<void(const storage::Uuid& image)> visibility_changed{};
    // Whether there is a key to sign URLs of private images with.
    std::function<bool()> can_sign{};
    // A job was queued that is due.
    std::function<void()> queued{};
};

// GET lists, by pool, state, owner and the beginning of the original's key, a page at a time
// (`cursor` is the `next` of the page before). Below an image's UUID GET shows it with its objects
// and DELETE deletes all of it; PATCH with {"visibility": "private" or "public"} says who may see
// it; POST to its move, with {"to": POOL}, moves it. What is done by a job is answered with 202 and
// the job's id. Blocks on the catalog; any thread.
ApiAnswer answer_images(const ImageMeans& means, const ApiCall& call);

}  // namespace tidepool::api
