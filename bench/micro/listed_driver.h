// A made-up listing of any size, for benchmarks of what goes through all objects.
#pragma once

#include "storage/driver.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace tidepool::bench {

using namespace storage;

// An original and six variants, as the image host makes them; sorted as their keys are.
inline constexpr std::string_view kVariants[] = {".avif",        ".webp",       "_medium.avif",
                                                 "_medium.webp", "_small.avif", "_small.webp"};
inline constexpr std::uint64_t kPerImage = 1 + std::size(kVariants);
inline constexpr std::uint64_t kImagesPerDay = 2000;
inline constexpr std::uint64_t kDaysPerMonth = 28;

inline std::uint64_t mixed(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
    return value ^ (value >> 31);
}

// The days and UUIDs of images rise with their number, so that their keys are sorted.
inline std::string image_path(std::uint64_t image) {
    const std::uint64_t day = image / kImagesPerDay;
    const std::uint64_t month = day / kDaysPerMonth;
    const std::uint64_t rank = (image % kImagesPerDay) * ((1ULL << 32) / kImagesPerDay);
    const std::uint64_t noise = mixed(image + 1);
    return fmt::format("{:04}/{:02}/{:02}/{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", 2000 + month / 12,
                       month % 12 + 1, day % kDaysPerMonth + 1, rank, noise & 0xFFFF,
                       (noise >> 16) & 0xFFF, (noise >> 28) & 0xFFF,
                       mixed(noise) & 0xFFFFFFFFFFFFULL);
}

inline std::string key_of(std::uint64_t index, std::uint64_t images) {
    if (index < images) return "uploads/original/" + image_path(index) + ".jpg";
    const std::uint64_t variant = index - images;
    std::string key = "uploads/variants/" + image_path(variant / std::size(kVariants));
    key += kVariants[variant % std::size(kVariants)];
    return key;
}

// Lists what it makes up; cannot do anything else. Where `absent_every` is not 0, every so many of
// its objects are not listed.
class ListedDriver final : public Driver {
  public:
    explicit ListedDriver(std::uint64_t count, std::uint64_t absent_every = 0)
        : images_(count / kPerImage), count_(images_ * kPerImage), absent_every_(absent_every) {}

    std::uint64_t count() const { return count_; }
    const std::string& pool() const override { return name_; }

    Result<ListPage> list(std::string_view, const std::string& next, std::size_t limit) override {
        std::uint64_t index = 0;
        std::from_chars(next.data(), next.data() + next.size(), index);
        ListPage page;
        const std::uint64_t end = std::min(count_, index + limit);
        for (; index < end; ++index) {
            if (absent_every_ != 0 && index % absent_every_ == 0) continue;
            ObjectInfo info;
            info.key = key_of(index, images_);
            info.size = mixed(index) % 500'000;
            info.modified_s = 1'700'000'000;
            info.etag = fmt::format("{:016x}{:016x}", mixed(index), mixed(~index));
            page.objects.push_back(std::move(info));
        }
        if (end < count_) page.next = std::to_string(end);
        return page;
    }

    Result<ObjectInfo> put(std::string_view, ByteSource&, const PutOptions&) override {
        return none();
    }
    Result<ObjectInfo> get(std::string_view, const GetRange&, ByteSink&) override { return none(); }
    // Nothing is there but what is listed.
    Result<ObjectInfo> head(std::string_view) override {
        return fail(ErrorKind::not_found, "absent");
    }
    Result<void> remove(std::string_view) override { return none(); }
    Result<std::optional<ObjectInfo>> copy_within_store(Driver&, std::string_view, std::string_view,
                                                        const PutOptions&) override {
        return none();
    }
    Result<Space> space() override { return none(); }
    Result<std::vector<std::string>> check(bool) override { return none(); }

  private:
    static std::unexpected<Error> none() { return fail(ErrorKind::invalid, "only lists"); }

    std::string name_ = "listed";
    std::uint64_t images_;
    std::uint64_t count_;
    std::uint64_t absent_every_;
};

// The most that was ever resident, and what is now, as lines "NAME KIB".
inline void print_memory() {
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line)) {
        for (const std::string_view name : {"VmHWM:", "VmRSS:"}) {
            if (line.starts_with(name)) {
                fmt::print("{} {}\n", name.substr(0, 5),
                           std::strtoull(&line[name.size()], nullptr, 10));
            }
        }
    }
}

}  // namespace tidepool::bench
