// What single texts of the configuration must look like. Every rule returns what is wrong, or ""
// where nothing is.
#pragma once

#include <string>
#include <string_view>

namespace tidepool::conf {

using TextRule = std::string (*)(std::string_view);

// A token of RFC 9110 5.6.2: one word of a header.
bool is_http_token(std::string_view text);

std::string wrong_in_url_prefix(std::string_view text);  // "/uploads/"
std::string wrong_in_folder(std::string_view text);      // absolute, without ".."
std::string wrong_in_file(std::string_view text);        // an absolute path that may be a file's
std::string wrong_in_log_path(std::string_view text);    // "", "-" or an absolute path
std::string wrong_in_pool_name(std::string_view text);   // [a-z0-9-]{1,63}
std::string wrong_in_mirror(std::string_view text);      // such a name, or nothing
std::string wrong_in_key_prefix(
    std::string_view text);  // a beginning of keys, so without "/" at its start
std::string wrong_in_status(std::string_view text);             // "200" or "4xx"
std::string wrong_in_media_range(std::string_view text);        // "image/png", "image/*", "*"
std::string wrong_in_content_type(std::string_view text);       // "", "image/png", "image/*"
std::string wrong_in_header_name(std::string_view text);        // "CF-Connecting-IP"
std::string wrong_in_pin(std::string_view text);                // a SHA-256 as hex
std::string wrong_in_zone_id(std::string_view text);            // of the edge; "" = none
std::string wrong_in_secret_header(std::string_view text);      // "" or "X-Origin-Key"
std::string wrong_in_cache_tag(std::string_view text);          // "image", "pool" or "day"
std::string wrong_in_cache_tag_prefix(std::string_view text);   // "" or "tp-"
std::string wrong_in_cache_control(std::string_view text);      // directives
std::string wrong_in_cdn_cache_control(std::string_view text);  // "" or directives
std::string wrong_in_base_path(std::string_view text);          // "" or a folder
std::string wrong_in_marker(std::string_view text);             // "" or a file's name, ".mounted"
std::string wrong_in_base_url(std::string_view text);           // "" or "https://host"
std::string wrong_in_url(std::string_view text);                // "" or "https://host/path"
std::string wrong_in_view_url(std::string_view text);           // "" or "https://host/i/{uuid}"
std::string wrong_in_origin(std::string_view text);             // "*" or "https://host:port"
std::string wrong_in_bucket(std::string_view text);             // "" or the name of an S3 bucket
std::string wrong_in_region(std::string_view text);             // "" or "us-west-001"
std::string wrong_in_path_prefix(std::string_view text);        // "" or "images/"
std::string wrong_in_quarantine_prefix(std::string_view text);  // "quarantine/"
std::string wrong_in_catalog_url(std::string_view text);        // "" or "sqlite:/PATH"
std::string wrong_in_token(std::string_view text);              // a token
std::string wrong_in_profile_name(std::string_view text);       // [a-z0-9-]{0,32}
std::string wrong_in_variant_format(std::string_view text);     // "webp", "original", ...
std::string wrong_in_original_format(std::string_view text);    // "jpeg", "gif", ...
std::string wrong_in_colour(std::string_view text);             // "#ffffff"
std::string wrong_in_day_window(std::string_view text);         // "" or "22:00-06:00"
std::string wrong_in_line(std::string_view text);               // any text of one line

}  // namespace tidepool::conf
