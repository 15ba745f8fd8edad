// Places for uploads, of which nobody is to hold all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidepool::upload {

// So many places for all, of which each holder has some at most: an owner, a client's address,
// or who stores what is at a key.
// Any thread.
class SharedPlaces {
  public:
    // A place, until this goes. The places outlive it.
    class Place {
      public:
        ~Place() {
            if (places_ != nullptr) places_->leave(holder_);
        }
        Place(Place&& other) noexcept
            : places_(std::exchange(other.places_, nullptr)), holder_(std::move(other.holder_)) {}
        Place& operator=(Place&&) = delete;

      private:
        friend SharedPlaces;
        Place(SharedPlaces& places, std::string holder)
            : places_(&places), holder_(std::move(holder)) {}
        SharedPlaces* places_;
        std::string holder_;
    };
    // Why there is none.
    enum class Full : std::uint8_t { of_all, of_holder };

    std::expected<Place, Full> take(std::string_view holder, std::size_t most,
                                    std::size_t most_per_holder);

  private:
    void leave(const std::string& holder);

    std::mutex mutex_;
    std::vector<std::string> holders_;  // of each that is taken
};

}  // namespace tidepool::upload
