// What in a request not everybody has: by it a file counts as private (docs/security.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lanward::core {

// A user or password, or a query by which a server knows who may ask (a signature, a token).
[[nodiscard]] bool url_has_credentials(std::string_view url);

// Of "Name: value". Any header counts, but for those that are known to open no door: who invents
// names for secrets is not to be outguessed.
[[nodiscard]] bool header_has_credentials(std::string_view line);

// What a job sends with the requests for a file.
struct Requests {
  std::vector<std::string_view> urls = {};  // of the file, its mirrors and its manifest
  std::vector<std::string_view> headers = {};
  bool client_certificate = false;
};
[[nodiscard]] bool have_credentials(const Requests& requests);

}  // namespace lanward::core
