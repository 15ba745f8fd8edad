// Calls of the admin API that carry an Idempotency-Key are done once, however often they are sent.
#pragma once

#include "conf/sealing.h"
#include "conf/secret.h"
#include "proxy/api/api_answer.h"
#include "storage/catalog.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::api {

inline constexpr std::size_t kMostIdempotencyKeyBytes = 255;

// 1 to 255 visible ASCII characters.
bool is_idempotency_key(std::string_view key);

// Answers are kept in the catalog for a day, also over a restart, and encrypted by the caller's key
// and the API's token, as one of them may be a new key of the upload API. With another token, keys
// are new. Safe from any thread; blocks on the catalog.
class SavedAnswers {
  public:
    // The catalog outlives it.
    SavedAnswers(storage::Catalog& catalog, const conf::Secret& token);

    // What `make` answers, where nobody has made this call with this key; what it answered then,
    // where somebody has. 422 where the key came with another call, 409 while that is being done.
    // An answer of 500 and above is not kept: the call may be tried again.
    ApiAnswer once(std::string_view key, const ApiCall& call,
                   const std::function<ApiAnswer()>& make);

  private:
    ApiAnswer again(const storage::SavedCall& known, const storage::SavedCall& call,
                    const conf::SealingKey& sealing) const;

    storage::Catalog& catalog_;
    const std::string token_;
    const std::string process_;
};

}  // namespace tidepool::api
