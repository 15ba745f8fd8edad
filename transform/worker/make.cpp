#include "transform/worker/make.h"

#include "transform/worker/vips/encode.h"
#include "transform/worker/vips/image.h"
#include "transform/worker/vips/source.h"
#include "transform/worker/vips/treatment.h"

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::transform {

namespace {

// Decoded pixels of more bytes are not kept for another variant but decoded again: a worker's
// memory must suffice for all that a variant needs when it is made alone.
constexpr std::uint64_t kMostKept = 192ULL * 1024 * 1024;

// How one variant is made.
struct Plan {
    bool animated = false;
    LoadPlan load;
    Treatment treatment;
};

// Pixels that several variants share, or why there are none.
struct Decoded {
    LoadPlan load;
    Result<Image> image;
};
struct Treated {
    LoadPlan load;
    Treatment treatment;
    bool palette = false;
    Result<Image> image;
};

Result<Plan> plan_of(const Source& source, const Recipe& recipe) {
    Plan plan;
    plan.animated = keeps_frames(recipe.format) && source.frames > 1;
    if (auto within = check_limits(source, plan.animated, recipe.limits); !within)
        return std::unexpected(std::move(within.error()));
    const int width = source.upright_width();
    const int height = source.upright_height();
    if (std::max(width, height) <= static_cast<int>(recipe.made_above)) {
        return fail(ErrorKind::not_found,
                    fmt::format("none is made of an image of {} x {}", width, height));
    }
    plan.treatment = treatment_of(recipe, source);
    const Shape& shape = plan.treatment.shape;
    const double shrink = std::min(static_cast<double>(width) / shape.width,
                                   static_cast<double>(height) / shape.height);
    plan.load = plan_load(source, plan.animated, shrink);
    return plan;
}

bool has_palette(const Image& image) {
    return image.has("palette-bit-depth");
}

Result<Image> second_reference(const Result<Image>& image) {
    if (!image) return std::unexpected(image.error());
    Image copy;  // of the head
    if (vips_copy(image->get(), copy.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "copy the head");
    return copy;
}

}  // namespace

class VariantSet::Work {
  public:
    Work(std::span<const char> bytes, std::span<const Recipe> recipes)
        : bytes_(bytes), recipes_(recipes) {}

    Result<Made> make(std::size_t index) {
        const Recipe& recipe = recipes_[index];
        if (auto within = check_bytes(bytes_.size(), recipe.limits); !within)
            return std::unexpected(std::move(within.error()));
        if (!has_looked_) look();
        if (!source_) return std::unexpected(source_.error());
        const Result<Plan>& plan = plans_[index];
        if (!plan) return std::unexpected(plan.error());
        Treated treated = treated_for(*plan, index);
        drop_what_is_done(index);
        auto image = std::move(treated.image);
        if (image) image = fit_format(std::move(*image), recipe);
        if (image) image = without_metadata(*image);
        if (!image) return std::unexpected(std::move(image.error()));
        auto encoded = encode(*image, recipe, treated.palette);
        // Pixels are decoded as they are encoded: it says nothing of which of both has failed.
        if (!encoded && encoded.error().kind == ErrorKind::corrupt && is_decodable(*plan))
            encoded.error().kind = ErrorKind::too_large;
        if (!encoded) return std::unexpected(std::move(encoded.error()));
        const Shape& shape = plan->treatment.shape;
        return Made{std::move(*encoded), shape.kept_width, shape.kept_height,
                    plan->animated ? source_->frames : 1};
    }

    void drop_all() {
        decoded_.clear();
        treated_.clear();
    }

    unsigned decodes() const { return decodes_; }

  private:
    void look() {
        has_looked_ = true;
        source_ = look_at_source(bytes_);
        plans_.reserve(recipes_.size());
        for (const Recipe& recipe : recipes_) {
            plans_.push_back(source_ ? plan_of(*source_, recipe)
                                     : std::unexpected(source_.error()));
        }
    }

    // Whether a variant after this one satisfies `needs`.
    template <class Needs>
    bool later(std::size_t index, const Needs& needs) const {
        return std::any_of(plans_.begin() + static_cast<std::ptrdiff_t>(index) + 1, plans_.end(),
                           [&](const Result<Plan>& plan) { return plan && needs(*plan); });
    }
    bool needs_treated(std::size_t index, const LoadPlan& load, const Treatment& treatment) const {
        return later(index, [&](const Plan& plan) {
            return plan.load == load && plan.treatment == treatment;
        });
    }
    // For a treatment that is not at hand.
    bool needs_decoded(std::size_t index, const LoadPlan& load) const {
        return later(index,
                     [&](const Plan& plan) { return plan.load == load && !find_treated(plan); });
    }

    // Whether the pixels can be had: then it is beyond the encoder what was asked of it.
    bool is_decodable(const Plan& plan) const {
        const auto opened = open_source(*source_, plan.load);
        double mean = 0;
        return opened && vips_avg(opened->get(), &mean, nullptr) == 0;
    }

    const Treated* find_treated(const Plan& plan) const {
        const auto found = std::ranges::find_if(treated_, [&](const Treated& each) {
            return each.load == plan.load && each.treatment == plan.treatment;
        });
        return found == treated_.end() ? nullptr : &*found;
    }

    void drop_what_is_done(std::size_t index) {
        std::erase_if(decoded_,
                      [&](const Decoded& each) { return !needs_decoded(index, each.load); });
        std::erase_if(treated_, [&](const Treated& each) {
            return !needs_treated(index, each.load, each.treatment);
        });
    }

    // The decoded pixels, in memory where another treatment needs them, too.
    Result<Image> decoded_for(const Plan& plan, std::size_t index) {
        const auto kept = std::ranges::find(decoded_, plan.load, &Decoded::load);
        if (kept != decoded_.end()) return second_reference(kept->image);
        auto opened = open_source(*source_, plan.load);
        if (!opened) return opened;
        ++decodes_;
        const bool shared = later(index, [&](const Plan& other) {
            return other.load == plan.load && other.treatment != plan.treatment &&
                   find_treated(other) == nullptr;
        });
        if (!shared || VIPS_IMAGE_SIZEOF_IMAGE(opened->get()) > kMostKept) return opened;
        decoded_.push_back({plan.load, in_memory(*opened)});
        return second_reference(decoded_.back().image);
    }

    Treated treated_for(const Plan& plan, std::size_t index) {
        const Treated* const kept = find_treated(plan);
        if (kept != nullptr)
            return {plan.load, plan.treatment, kept->palette, second_reference(kept->image)};
        Treated treated{plan.load, plan.treatment, false, decoded_for(plan, index)};
        auto& image = treated.image;
        if (image) {
            treated.palette = has_palette(*image);
            image = treat(std::move(*image), *source_, plan.animated, plan.treatment);
        }
        const bool shared = needs_treated(index, plan.load, plan.treatment);
        if (image && (shared || plan.animated || mixes_pixels(plan.treatment, *source_)))
            image = in_memory(*image);
        if (!shared) return treated;
        treated_.push_back(std::move(treated));
        return {plan.load, plan.treatment, treated_.back().palette,
                second_reference(treated_.back().image)};
    }

    std::span<const char> bytes_;
    std::span<const Recipe> recipes_;
    bool has_looked_ = false;
    Result<Source> source_ = fail(ErrorKind::io, "not looked at");
    std::vector<Result<Plan>> plans_;  // once it was looked at, one for each recipe
    std::vector<Decoded> decoded_;
    std::vector<Treated> treated_;
    unsigned decodes_ = 0;
};

VariantSet::VariantSet(std::span<const char> bytes, std::span<const Recipe> recipes)
    : work_(std::make_unique<Work>(bytes, recipes)) {}

VariantSet::~VariantSet() = default;

Result<Made> VariantSet::make(std::size_t index) {
    if (auto started = start_vips(); !started) return std::unexpected(std::move(started.error()));
    try {
        return work_->make(index);
    } catch (const std::bad_alloc&) {
        work_->drop_all();
        throw;
    }
}

unsigned VariantSet::decodes() const {
    return work_->decodes();
}

Result<void> prepare_to_make() {
    return start_vips();
}

Result<Made> make(std::span<const char> bytes, const Recipe& recipe) {
    return VariantSet(bytes, {&recipe, 1}).make(0);
}

}  // namespace tidepool::transform
