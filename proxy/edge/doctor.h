// What answers of a live set-up say of it: what is right, what is not, and what is to be done
// (contracts: cloudflare.md 3, 5, 6). Pure; `tidepool edge doctor` asks.
#pragma once

#include "proxy/edge/message.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::edge {

enum class Grade : std::uint8_t { ok, warn, fail };
std::string_view name_of(Grade grade);

struct Diagnosis {
    std::string check;  // "cache"; does not change, for programs
    Grade grade = Grade::ok;
    std::string seen;
    std::string advice{};   // what to do; "" where it is ok
    std::string subject{};  // the URL, pool or address that it is about
};

struct SeenAnswer {
    Answer head;
    std::uint64_t bytes = 0;  // of its body, as received
};

// What is asked for, and by whom it is to be answered.
struct Examined {
    bool is_direct = false;  // a bucket's own host
    bool is_tls = true;
    std::string cache_control;  // what browsers are to be told; "" = it is not known
};

// Each judges the answer to a GET, unless it says otherwise. `subject` is the caller's.
Diagnosis judge_proxied(const SeenAnswer& got);
Diagnosis judge_certificate(const Examined& examined);
// Whether the image is there: else nothing more can be said.
Diagnosis judge_found(const Examined& examined, const SeenAnswer& got);
// The same URL asked twice.
Diagnosis judge_cache(const Examined& examined, const SeenAnswer& first, const SeenAnswer& second);
// `again`: the answer to the same with If-None-Match or If-Modified-Since of `got`; nothing where
// `got` has neither.
Diagnosis judge_unchanged(const SeenAnswer& got, const std::optional<SeenAnswer>& again);
Diagnosis judge_head(const SeenAnswer& got, const SeenAnswer& head);
// `part`: the answer to bytes=FIRST-LAST.
struct AskedRange {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
};
Diagnosis judge_range(const SeenAnswer& got, const SeenAnswer& part, AskedRange range);
Diagnosis judge_lifetime(const Examined& examined, const SeenAnswer& got);
// Fields that are no business of a visitor, or keep the edge from storing.
Diagnosis judge_fields(const Examined& examined, const SeenAnswer& got);

// The origin asked past the edge; nothing where it has ended the connection without an answer.
Diagnosis judge_lock(std::optional<int> status);

// A private URL: without a signature; with one, twice; without one again.
struct PrivateAnswers {
    SeenAnswer bare;
    SeenAnswer with;
    SeenAnswer again;
    SeenAnswer bare_again;
};
Diagnosis judge_private(const PrivateAnswers& answers, bool edge_checks);

// What a bucket's own host must show to nobody: another bucket, or a private prefix in one of its
// spellings. Asked for by GET.
Diagnosis judge_fence(std::string_view path, const SeenAnswer& got);

}  // namespace tidepool::edge
