#include "engine/core/metalink.h"

#include <algorithm>

namespace lanward::core {
namespace {

std::string_view path_of(std::string_view url) {
  url = url.substr(0, std::min(url.find_first_of("?#"), url.size()));
  const std::size_t authority = url.find("://");
  if (authority == std::string_view::npos) return url;
  url.remove_prefix(authority + 3);
  return url.substr(std::min(url.find('/'), url.size()));
}

}  // namespace

bool is_metalink_name(std::string_view path) {
  constexpr std::string_view kEnding = ".meta4";
  path = path_of(path);
  if (path.size() <= kEnding.size()) return false;
  return std::ranges::equal(path.substr(path.size() - kEnding.size()), kEnding, {}, [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
}

const Metalink::File* file_at(const Metalink& metalink, std::string_view url) {
  if (metalink.files.size() == 1) return &metalink.files.front();
  const std::string_view path = path_of(url);
  const std::string_view name = path.substr(path.rfind('/') + 1);
  for (const Metalink::File& file : metalink.files) {
    if (file.name == name) return &file;
  }
  return nullptr;
}

std::vector<OriginSpec> origins_of(const Metalink::File& file) {
  std::vector<OriginSpec> origins;
  for (const Metalink::Url& url : file.urls) {
    origins.push_back({.url = url.url, .priority = url.priority});
  }
  return origins;
}

}  // namespace lanward::core
