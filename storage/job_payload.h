// What a job is about, as the text that the catalog keeps: a JSON object.
#pragma once

#include "conf/error.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// Writes one, field by field.
class PayloadWriter {
  public:
    PayloadWriter();
    ~PayloadWriter();
    PayloadWriter(PayloadWriter&&) noexcept;
    PayloadWriter& operator=(PayloadWriter&&) noexcept;

    PayloadWriter& add(const char* name, std::string_view text);
    PayloadWriter& add(const char* name, std::int64_t number);
    PayloadWriter& add(const char* name, const std::vector<std::string>& texts);
    PayloadWriter& add(const char* name, const PayloadWriter& object);
    PayloadWriter& add_flag(const char* name, bool flag);
    std::string text() const;

  private:
    struct Json;
    std::unique_ptr<Json> json_;
};

// Reads one. What is not there, or is something else, is nothing.
class PayloadReader {
  public:
    explicit PayloadReader(std::string_view payload);
    ~PayloadReader();
    PayloadReader(PayloadReader&&) noexcept;
    PayloadReader& operator=(PayloadReader&&) noexcept;

    std::optional<std::string> text(const char* name) const;
    std::optional<std::int64_t> number(const char* name) const;
    std::vector<std::string> texts(const char* name) const;
    std::optional<bool> flag(const char* name) const;

  private:
    struct Json;
    std::unique_ptr<Json> json_;
};

}  // namespace tidepool::storage
