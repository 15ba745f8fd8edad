#include "storage/job_payload.h"

#include <nlohmann/json.hpp>

namespace tidepool::storage {

struct PayloadWriter::Json {
    nlohmann::ordered_json value = nlohmann::ordered_json::object();
};
struct PayloadReader::Json {
    nlohmann::json value;
};

PayloadWriter::PayloadWriter() : json_(std::make_unique<Json>()) {}
PayloadWriter::~PayloadWriter() = default;
PayloadWriter::PayloadWriter(PayloadWriter&&) noexcept = default;
PayloadWriter& PayloadWriter::operator=(PayloadWriter&&) noexcept = default;

PayloadWriter& PayloadWriter::add(const char* name, std::string_view text) {
    json_->value[name] = text;
    return *this;
}

PayloadWriter& PayloadWriter::add(const char* name, std::int64_t number) {
    json_->value[name] = number;
    return *this;
}

PayloadWriter& PayloadWriter::add(const char* name, const std::vector<std::string>& texts) {
    json_->value[name] = texts;
    return *this;
}

PayloadWriter& PayloadWriter::add(const char* name, const PayloadWriter& object) {
    json_->value[name] = object.json_->value;
    return *this;
}

PayloadWriter& PayloadWriter::add_flag(const char* name, bool flag) {
    json_->value[name] = flag;
    return *this;
}

std::string PayloadWriter::text() const {
    return json_->value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

PayloadReader::PayloadReader(std::string_view payload)
    : json_(std::make_unique<Json>(nlohmann::json::parse(payload, nullptr, false))) {}
PayloadReader::~PayloadReader() = default;
PayloadReader::PayloadReader(PayloadReader&&) noexcept = default;
PayloadReader& PayloadReader::operator=(PayloadReader&&) noexcept = default;

std::optional<std::string> PayloadReader::text(const char* name) const {
    if (!json_->value.is_object()) return std::nullopt;
    const auto found = json_->value.find(name);
    if (found == json_->value.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
}

std::optional<std::int64_t> PayloadReader::number(const char* name) const {
    if (!json_->value.is_object()) return std::nullopt;
    const auto found = json_->value.find(name);
    if (found == json_->value.end() || !found->is_number_integer()) return std::nullopt;
    return found->get<std::int64_t>();
}

std::vector<std::string> PayloadReader::texts(const char* name) const {
    std::vector<std::string> texts;
    if (!json_->value.is_object()) return texts;
    const auto found = json_->value.find(name);
    if (found == json_->value.end() || !found->is_array()) return texts;
    for (const auto& each : *found) {
        if (each.is_string()) texts.push_back(each.get<std::string>());
    }
    return texts;
}

std::optional<bool> PayloadReader::flag(const char* name) const {
    if (!json_->value.is_object()) return std::nullopt;
    const auto found = json_->value.find(name);
    if (found == json_->value.end() || !found->is_boolean()) return std::nullopt;
    return found->get<bool>();
}

}  // namespace tidepool::storage
