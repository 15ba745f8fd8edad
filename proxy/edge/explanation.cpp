#include "proxy/edge/explanation.h"

#include "proxy/edge/cacheability.h"
#include "proxy/edge/side_facts.h"
#include "proxy/edge/warnings.h"
#include "proxy/edge/words.h"

namespace tidepool::edge {

Explanation explain(const Question& question, const Answer& answer, std::int64_t now_s) {
    Explanation all;
    all.edge = judge_edge(question, answer, now_s, all.reasons);
    all.browser = judge_browser(answer, now_s, all.reasons);
    add_side_facts(question, answer, all.edge, all.reasons);
    all.edge.removes = removed_fields(answer);
    all.warnings = find_warnings(question, answer, all.edge, all.browser);
    all.verdict = edge_words(all.edge) + "; " + browser_words(all.browser);
    return all;
}

}  // namespace tidepool::edge
