// What is made of an image once it is uploaded, as a job of the catalog: the variants whose
// profiles say so, and what is shown of the image until it has come.
#pragma once

#include "conf/settings.h"
#include "proxy/api/pool_json.h"
#include "proxy/loop/loop.h"
#include "proxy/serve/variant_maker.h"
#include "storage/catalog.h"
#include "storage/job_runner.h"

#include <string>
#include <string_view>

namespace tidepool::upload {

// What a session was asked for with, as the catalog keeps it.
struct Order {
    bool makes_variants = true;  // processing.profile is not "original_only"
    api::Json app;               // fields that belong to the app; null = none
};
std::string text_of(const Order& order);
// Of a session that said nothing, or is not known: the default.
Order order_of(std::string_view details);

// Whether any profile has variants of this original that are made at upload. Pure.
bool has_variants_at_upload(const conf::Settings& settings, std::string_view original);

// By which the job of an image is known while it is open.
std::string process_key(const storage::Uuid& image);
inline constexpr std::string_view kProcessType = "process";
// In a lane of its owner's, so that many images of one do not hold up those of others.
storage::NewJob process_job(const std::string& original, const storage::Uuid& image,
                            std::string_view owner);

// Does them. Any thread but a loop's.
class Processing {
  public:
    // All outlive it. The work is led by `home`, the maker's loop.
    Processing(const conf::Settings& settings, storage::Catalog& catalog, loop::Loop& home,
               serve::VariantMaker& maker);

    // Blocks until all is made or cannot be. The image is complete then, also where one of its
    // variants is beyond what its format, or a limit, allows. Where it is the original that is
    // broken or beyond a limit, it has failed, which is said of it, and it stays. What may pass is
    // the job's to try again.
    storage::JobEnd process(storage::JobRun& run);

  private:
    struct Outcome;
    static loop::Task<> make_all(Processing& self, std::string original,
                                 std::shared_ptr<Outcome> outcome);

    const conf::Settings settings_;
    storage::Catalog& catalog_;
    loop::Loop& home_;
    serve::VariantMaker& maker_;
};

}  // namespace tidepool::upload
