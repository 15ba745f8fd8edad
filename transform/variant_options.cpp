#include "transform/variant_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <iterator>
#include <vector>

#include <fmt/format.h>

namespace tidepool::transform {

namespace {

using Fit = conf::VariantProfile::Fit;
using Gravity = conf::VariantProfile::Gravity;

constexpr std::uint32_t kMostSide = 16'384;  // as of a profile
constexpr std::uint32_t kMostPercent = 100;
constexpr std::size_t kMostNameBytes = 20;  // of an option that is repeated to the client

struct FitName {
    std::string_view name;
    Fit fit;
};
constexpr FitName kFits[] = {{"fit", Fit::inside}, {"fill", Fit::cover}, {"force", Fit::exact}};

struct GravityName {
    std::string_view name;
    Gravity gravity;
};
constexpr GravityName kGravities[] = {{"ce", Gravity::centre}, {"no", Gravity::north},
                                      {"ea", Gravity::east},   {"so", Gravity::south},
                                      {"we", Gravity::west},   {"sm", Gravity::attention}};

bool has_quality(Format format) {
    return format != Format::png && format != Format::gif;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (true) {
        const std::size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == text.npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t least,
                                          std::uint32_t most) {
    std::uint32_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end || value < least || value > most) return std::nullopt;
    return value;
}

std::string expected_number(std::string_view name, std::uint32_t least, std::uint32_t most) {
    return fmt::format("{}: expected a whole number from {} to {}", name, least, most);
}

// Takes one option after the other. Every function says what is wrong, or nothing.
class OptionsReader {
  public:
    std::string take(std::string_view option, std::size_t number);
    std::expected<VariantOptions, std::string> finish(Format format);

  private:
    using Arguments = std::span<const std::string_view>;
    struct Kind {
        std::string_view name;
        std::string_view long_name;
        std::string (OptionsReader::*read)(Arguments arguments);
    };
    static const std::array<Kind, 7> kKinds;

    // What can be said once.
    enum class Said : std::uint8_t { fit, width, height, quality, gravity, background, sharpen };
    std::string say_once(Said what, std::string_view name) {
        const unsigned bit = 1U << static_cast<unsigned>(what);
        if ((said_ & bit) != 0) return fmt::format("{} is given twice", name);
        said_ |= bit;
        return {};
    }
    std::string read_number(Arguments arguments, Said what, std::string_view name,
                            std::uint32_t least, std::uint32_t most, std::uint32_t& into);

    std::string read_resize(Arguments arguments);
    std::string read_width(Arguments arguments);
    std::string read_height(Arguments arguments);
    std::string read_quality(Arguments arguments);
    std::string read_gravity(Arguments arguments);
    std::string read_background(Arguments arguments);
    std::string read_sharpen(Arguments arguments);

    VariantOptions options_;
    unsigned said_ = 0;
};

constexpr std::array<OptionsReader::Kind, 7> OptionsReader::kKinds{{
    {"rs", "resize", &OptionsReader::read_resize},
    {"w", "width", &OptionsReader::read_width},
    {"h", "height", &OptionsReader::read_height},
    {"q", "quality", &OptionsReader::read_quality},
    {"g", "gravity", &OptionsReader::read_gravity},
    {"bg", "background", &OptionsReader::read_background},
    {"sh", "sharpen", &OptionsReader::read_sharpen},
}};

std::string OptionsReader::take(std::string_view option, std::size_t number) {
    const std::vector<std::string_view> parts = split(option, ':');
    const std::string_view name = parts.front();
    const auto is_it = [name](const Kind& kind) {
        return name == kind.name || name == kind.long_name;
    };
    const auto kind = std::ranges::find_if(kKinds, is_it);
    if (kind != kKinds.end()) return (this->*kind->read)(Arguments(parts).subspan(1));
    const auto is_harmless = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
    if (name.empty() || name.size() > kMostNameBytes || !std::ranges::all_of(name, is_harmless))
        return fmt::format("option {} is unknown", number);
    return fmt::format("option {} is unknown: {}", number, name);
}

std::string OptionsReader::read_number(Arguments arguments, Said what, std::string_view name,
                                       std::uint32_t least, std::uint32_t most,
                                       std::uint32_t& into) {
    if (std::string wrong = say_once(what, name); !wrong.empty()) return wrong;
    if (arguments.size() != 1) return expected_number(name, least, most);
    const auto value = parse_number(arguments.front(), least, most);
    if (!value) return expected_number(name, least, most);
    into = *value;
    return {};
}

std::string OptionsReader::read_resize(Arguments arguments) {
    if (!arguments.empty() && !arguments[0].empty()) {
        const auto fit = std::ranges::find(kFits, arguments[0], &FitName::name);
        if (fit == std::end(kFits)) return "rs: expected fit, fill or force";
        if (std::string wrong = say_once(Said::fit, "rs"); !wrong.empty()) return wrong;
        options_.fit = fit->fit;
    }
    std::string wrong;
    if (arguments.size() > 1 && !arguments[1].empty()) wrong = read_width(arguments.subspan(1, 1));
    if (!wrong.empty()) return wrong;
    if (arguments.size() > 2 && !arguments[2].empty()) wrong = read_height(arguments.subspan(2, 1));
    if (!wrong.empty()) return wrong;
    // Those who write these URLs for imgproxy add that nothing is enlarged and nothing extended.
    for (std::size_t i = 3; i < arguments.size(); ++i) {
        const bool is_no = arguments[i].empty() || arguments[i] == "0" || arguments[i] == "f" ||
                           arguments[i] == "false";
        if (!is_no || i > 4) return "rs: images are never enlarged or extended";
    }
    return {};
}

std::string OptionsReader::read_width(Arguments arguments) {
    return read_number(arguments, Said::width, "w", 0, kMostSide, options_.width);
}

std::string OptionsReader::read_height(Arguments arguments) {
    return read_number(arguments, Said::height, "h", 0, kMostSide, options_.height);
}

std::string OptionsReader::read_quality(Arguments arguments) {
    return read_number(arguments, Said::quality, "q", 1, kMostPercent, options_.quality);
}

std::string OptionsReader::read_sharpen(Arguments arguments) {
    return read_number(arguments, Said::sharpen, "sh", 0, kMostPercent, options_.sharpen);
}

std::string OptionsReader::read_gravity(Arguments arguments) {
    if (std::string wrong = say_once(Said::gravity, "g"); !wrong.empty()) return wrong;
    const auto found = arguments.size() == 1
                           ? std::ranges::find(kGravities, arguments.front(), &GravityName::name)
                           : std::end(kGravities);
    if (found == std::end(kGravities)) return "g: expected ce, no, ea, so, we or sm";
    options_.gravity = found->gravity;
    return {};
}

std::string OptionsReader::read_background(Arguments arguments) {
    constexpr std::size_t kDigits = 6;
    if (std::string wrong = say_once(Said::background, "bg"); !wrong.empty()) return wrong;
    std::string colour(arguments.size() == 1 ? arguments.front() : std::string_view());
    for (char& c : colour) {
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    }
    const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (colour.size() != kDigits || !std::ranges::all_of(colour, is_hex))
        return "bg: expected six hex digits";
    options_.background = std::move(colour);
    return {};
}

std::expected<VariantOptions, std::string> OptionsReader::finish(Format format) {
    const bool has_both_sides = options_.width > 0 && options_.height > 0;
    if (options_.fit != Fit::inside && !has_both_sides)
        return std::unexpected("rs: fill and force need a width and a height");
    if (options_.fit != Fit::cover) options_.gravity = Gravity::centre;
    if (!has_quality(format)) options_.quality = 0;
    if (format != Format::jpeg) options_.background = VariantOptions().background;
    if (options_.width == 0 && options_.height == 0 && options_.quality == 0)
        return std::unexpected("a size is missing, or the quality of a format that has one");
    return options_;
}

template <class Names, class Value, class Member>
std::string_view name_in(const Names& names, Value value, Member member) {
    return std::ranges::find(names, value, member)->name;
}

}  // namespace

std::expected<VariantOptions, std::string> parse_variant_options(
    std::span<const std::string_view> options, Format format) {
    OptionsReader reader;
    std::size_t number = 0;
    for (const std::string_view option : options) {
        if (std::string wrong = reader.take(option, ++number); !wrong.empty())
            return std::unexpected(std::move(wrong));
    }
    return reader.finish(format);
}

// The options as they stand in a path, with other separators: a name has no slash, and not every
// store likes a colon.
std::string size_name_of(const VariantOptions& options) {
    std::string name;
    const auto add = [&name](const std::string& option) {
        name += name.empty() ? '_' : '-';
        name += option;
    };
    if (options.width > 0 || options.height > 0) {
        add(fmt::format("rs_{}_{}_{}", name_in(kFits, options.fit, &FitName::fit), options.width,
                        options.height));
    }
    if (options.gravity != Gravity::centre)
        add(fmt::format("g_{}", name_in(kGravities, options.gravity, &GravityName::gravity)));
    if (options.quality > 0) add(fmt::format("q_{}", options.quality));
    if (options.background != VariantOptions().background)
        add(fmt::format("bg_{}", options.background));
    if (options.sharpen > 0) add(fmt::format("sh_{}", options.sharpen));
    return name;
}

std::optional<VariantOptions> options_named(std::string_view size, Format format) {
    if (!is_name_of_options(size)) return std::nullopt;
    std::string path(size.substr(1));
    std::ranges::replace(path, '_', ':');
    const auto options = parse_variant_options(split(path, '-'), format);
    if (!options || size_name_of(*options) != size) return std::nullopt;
    return *options;
}

}  // namespace tidepool::transform
