// POST /api/v1/upload/sessions: room for a file, and the token that lets its owner bring it.
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/upload/intake.h"
#include "storage/catalog_records.h"

#include <cstdint>
#include <string_view>

namespace tidepool::upload {

// Blocks; on a worker. `key` is whose; the errors are those of contracts: pixelfox.md, Upload API.
api::ApiAnswer open_session(Intake& intake, const storage::KeyRecord& key, std::string_view body,
                            std::int64_t now_s);

// Where a pool's uploads go; "" where nothing says so. Pure.
std::string upload_url_of(const conf::UploadSettings& settings, const conf::PoolSettings& pool);

}  // namespace tidepool::upload
