#include "proxy/api/purges_api.h"

#include "conf/quote.h"
#include "proxy/api/body_fields.h"
#include "proxy/api/jobs_api.h"
#include "storage/purge_job.h"

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

storage::PurgeOrder read_order(BodyFields& fields) {
    storage::PurgeOrder order;
    for (const std::string& text : fields.texts("images").value_or(std::vector<std::string>())) {
        if (const auto image = storage::parse_uuid(text)) {
            order.images.push_back(*image);
        } else {
            fields.complain("images", fmt::format("{} is no UUID", conf::quote(text)));
        }
    }
    order.urls = fields.texts("urls").value_or(std::vector<std::string>());
    order.tags = fields.texts("tags").value_or(std::vector<std::string>());
    order.prefixes = fields.texts("prefixes").value_or(std::vector<std::string>());
    order.is_everything = fields.flag("everything").value_or(false);
    return order;
}

}  // namespace

ApiAnswer answer_purges(const PurgeMeans& means, const ApiCall& call) {
    auto fields = BodyFields::parse(call.body);
    if (!fields) return std::move(fields.error());
    const storage::PurgeOrder order = read_order(*fields);
    if (auto wrong = fields->problems()) return std::move(*wrong);
    if (!means.has_zone)
        return api_error(409, "conflict", "there is no edge to purge: set purge.zone_id");
    const auto jobs = storage::ordered_purges(*means.catalog, order, "");
    if (!jobs) return api_error(jobs.error());
    const auto ids = means.catalog->queue_jobs(*jobs, std::time(nullptr));
    if (!ids) return api_error(ids.error());
    if (means.queued) means.queued();
    const std::string location =
        ids->size() == 1 ? fmt::format("Location: {}/{}\r\n", kJobsPath, ids->front())
                         : fmt::format("Location: {}?type={}\r\n", kJobsPath, storage::kPurgeType);
    return {.status = 202, .body = text_of({{"jobs", *ids}}), .fields = location};
}

}  // namespace tidepool::api
