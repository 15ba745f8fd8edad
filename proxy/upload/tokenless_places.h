// Who may send a file before anybody knows whose it is: a form whose token stands behind it.
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

// So many places for all, of which one client's address has some, so that no stranger holds all of
// them. Any thread.
class TokenlessPlaces {
  public:
    // A place, until this goes. The places outlive it.
    class Place {
      public:
        ~Place() {
            if (places_ != nullptr) places_->leave(network_);
        }
        Place(Place&& other) noexcept
            : places_(std::exchange(other.places_, nullptr)), network_(std::move(other.network_)) {}
        Place& operator=(Place&&) = delete;

      private:
        friend TokenlessPlaces;
        Place(TokenlessPlaces& places, std::string network)
            : places_(&places), network_(std::move(network)) {}
        TokenlessPlaces* places_;
        std::string network_;
    };
    // Why there is none.
    enum class Full : std::uint8_t { of_all, of_address };

    // For a client (its address as text; see conf::client_network). `most_per_address`: 0 is no
    // limit but that of all; nor is there one for what is no address, as behind a unix socket there
    // may be many.
    std::expected<Place, Full> take(std::string_view client, std::size_t most,
                                    std::size_t most_per_address);

  private:
    void leave(const std::string& network);

    std::mutex mutex_;
    std::vector<std::string> networks_;  // of each that is taken
};

}  // namespace tidepool::upload
