// What B2 says of a pool's bucket and key, for `tidepool edge doctor`.
#pragma once

#include "conf/settings.h"
#include "proxy/edge/doctor.h"
#include "proxy/serve/b2_native.h"
#include "storage/s3_http.h"

#include <string_view>
#include <vector>

namespace tidepool::cli {

// Asks b2_authorize_account and b2_list_buckets, which are two calls of class C beside the pool's
// budget. Nothing of a pool that is no bucket of B2.
std::vector<edge::Diagnosis> look_at_bucket(const conf::PoolSettings& pool,
                                            std::string_view url_prefix,
                                            const storage::HttpLimits& limits);

// Whether the key opens more than this bucket and what is needed of it. Pure.
edge::Diagnosis judge_key(const serve::B2Account& account, const conf::PoolSettings& pool);

// Whether hidden versions of images go away, and images do not. `keys`: what names of images in
// the bucket begin with. Pure.
edge::Diagnosis judge_lifecycle(const std::vector<serve::B2LifecycleRule>& rules,
                                std::string_view keys);

}  // namespace tidepool::cli
