#include "proxy/upload/processing.h"

#include "conf/log.h"
#include "proxy/upload/image_resource.h"
#include "storage/image_key.h"
#include "storage/job_payload.h"
#include "storage/job_policy.h"
#include "transform/recipe.h"

#include <ctime>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::upload {

namespace {

constexpr int kProcessPriority = 80;
// Of one variant, in the queue of its lane.
constexpr conf::Milliseconds kProcessPatience{240'000};
// How soon it is noticed that all is to end.
constexpr conf::Milliseconds kLookAgain{200};

std::vector<std::string> variants_at_upload(const conf::Settings& settings,
                                            std::string_view original) {
    std::vector<std::string> keys;
    const auto prefix = storage::variants_prefix(original);
    if (!prefix) return keys;
    for (const transform::VariantName& name :
         transform::variants_of(settings, storage::parse_image_key(original).extension, true))
        keys.push_back(*prefix + name.ending());
    return keys;
}

bool is_limit(const Error& error) {
    return error.kind == ErrorKind::too_large && !error.store;
}

// It is not the original's fault, and may pass.
bool may_pass(const Error& error) {
    return error.store || (error.kind != ErrorKind::corrupt && error.kind != ErrorKind::too_large);
}

}  // namespace

std::string text_of(const Order& order) {
    api::Json json = api::Json::object();
    if (!order.makes_variants) json["profile"] = "original_only";
    if (!order.app.is_null()) json["app"] = order.app;
    return json.empty() ? std::string() : api::text_of(json);
}

Order order_of(std::string_view details) {
    Order order;
    const api::Json json = api::Json::parse(details, nullptr, false);
    if (!json.is_object()) return order;
    order.makes_variants = json.value("profile", "") != "original_only";
    if (json.contains("app")) order.app = json["app"];
    return order;
}

bool has_variants_at_upload(const conf::Settings& settings, std::string_view original) {
    return !variants_at_upload(settings, original).empty();
}

std::string process_key(const storage::Uuid& image) {
    return fmt::format("{} {}", kProcessType, storage::to_text(image));
}

storage::NewJob process_job(const std::string& original, const storage::Uuid& image,
                            std::string_view owner) {
    return {.type = std::string(kProcessType),
            .payload = storage::PayloadWriter().add("original", original).text(),
            .dedup_key = process_key(image),
            .priority = kProcessPriority,
            .lane = fmt::format("{} owner:{}", kProcessType, owner)};
}

// What came of the variants, and of a look at the pixels.
struct Processing::Outcome {
    std::optional<Error> to_try_again;
    std::optional<Error> failure;
    std::optional<transform::Inspection> inspection;
    std::promise<void> done;
};

Processing::Processing(const conf::Settings& settings, storage::Catalog& catalog, loop::Loop& home,
                       serve::VariantMaker& maker)
    : settings_(settings), catalog_(catalog), home_(home), maker_(maker) {}

loop::Task<> Processing::make_all(Processing& self, std::string original,
                                  std::shared_ptr<Outcome> outcome) {
    using serve::VariantMaker;
    bool has_all = true;
    for (const std::string& key : variants_at_upload(self.settings_, original)) {
        const VariantMaker::Outcome made =
            co_await self.maker_.make(self.home_, key, kProcessPatience, VariantMaker::Again::yes,
                                      VariantMaker::Others::at_upload);
        std::optional<Error> error = made.error;
        if (!error) error = made.store_error;
        if (!error && made.unstored)
            error = Error{ErrorKind::timed_out, fmt::format("{} is not stored yet", key)};
        // Of so small an image it is not made.
        if (error && error->kind == ErrorKind::not_found && !error->store) error.reset();
        if (!error) continue;
        if (is_limit(*error)) {
            // Of this variant, or of the original, which the look below tells.
            has_all = false;
            continue;
        }
        auto& why = may_pass(*error) ? outcome->to_try_again : outcome->failure;
        if (!why) why = std::move(error);
    }
    if (!outcome->failure && !outcome->to_try_again) {
        auto looked = co_await self.maker_.inspect_original(original);
        if (looked) {
            outcome->inspection = *looked;
        } else if (looked.error().kind == ErrorKind::not_found && !looked.error().store) {
            outcome->failure = looked.error();  // what was not made of it is not too small
        } else if (!has_all) {
            (may_pass(looked.error()) ? outcome->to_try_again : outcome->failure) = looked.error();
        } else {
            conf::log_warn("image not looked at key={} reason=\"{}\"", original,
                           looked.error().text);
        }
    }
    outcome->done.set_value();
}

storage::JobEnd Processing::process(storage::JobRun& run) {
    const auto original = storage::PayloadReader(run.job().payload).text("original");
    const auto uuid = original ? storage::parse_image_key(*original).image : std::nullopt;
    if (!uuid) {
        return storage::JobEnd::failed(
            {ErrorKind::invalid, fmt::format("job {} does not name an image", run.job().id)});
    }
    const auto image = catalog_.find_image(*uuid);
    if (!image) return storage::JobEnd::failed(image.error());
    using State = storage::ImageRecord::State;
    if (!*image || (*image)->state == State::deleting) return storage::JobEnd::done();

    const auto outcome = std::make_shared<Outcome>();
    auto done = outcome->done.get_future();
    home_.post([this, original = *original, outcome] {
        home_.tasks().spawn(make_all(*this, original, outcome));
    });
    while (done.wait_for(kLookAgain) != std::future_status::ready) {
        if (!run.goes_on()) return storage::JobEnd::interrupted();
    }
    if (!run.goes_on()) return storage::JobEnd::interrupted();
    if (outcome->to_try_again && !outcome->failure) {
        const bool comes_back = storage::next_attempt_s(*outcome->to_try_again, run.job().attempts,
                                                        std::time(nullptr), 0)
                                    .has_value();
        if (comes_back) return storage::JobEnd::failed(*outcome->to_try_again);
        outcome->failure = outcome->to_try_again;
    }
    ImageFacts facts = read_facts((*image)->metadata);
    facts.failure = outcome->failure ? outcome->failure->text : std::string();
    if (outcome->inspection) facts.blurhash = outcome->inspection->blur_hash.view();
    const auto described = catalog_.describe_image(
        *uuid, outcome->failure ? State::failed : State::complete, text_of(facts));
    if (!described) return storage::JobEnd::failed(described.error());
    // The job stays listed as failed, to be tried again by who has mended the cause.
    if (outcome->failure) return storage::JobEnd::failed(*outcome->failure);
    return storage::JobEnd::done();
}

}  // namespace tidepool::upload
