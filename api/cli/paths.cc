#include "api/cli/paths.h"

#include <fmt/format.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

namespace lanward::cli {
namespace {

namespace fs = std::filesystem;

// File systems allow 255 bytes; the working directory adds a dot and a suffix to the name.
constexpr std::size_t kNameBytesMax = 240;

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         strncasecmp(text.data(), prefix.data(), prefix.size()) == 0;
}

// The path of a URL, or the whole of a local path.
std::string_view path_of(std::string_view source) {
  if (!is_url(source)) return source;
  source.remove_prefix(source.find("//") + 2);
  source = source.substr(0, source.find_first_of("?#"));
  const std::size_t slash = source.find('/');
  return slash == std::string_view::npos ? std::string_view{} : source.substr(slash);
}

std::string_view last_segment(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::optional<int> hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return std::nullopt;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size();
    const auto high = escape ? hex_digit(text[i + 1]) : std::nullopt;
    const auto low = escape ? hex_digit(text[i + 2]) : std::nullopt;
    if (high && low) {
      decoded.push_back(static_cast<char>(*high * 16 + *low));
      i += 2;
    } else {
      decoded.push_back(text[i]);
    }
  }
  return decoded;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool is_safe_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= kNameBytesMax &&
         name.find('/') == std::string::npos && std::none_of(name.begin(), name.end(), is_control);
}

// Only a URL of the file itself names the file; a manifest or a Metalink carries the name inside.
Result<std::string> suggested_name(const std::string& source) {
  const std::string_view path = path_of(source);
  if (!is_url(source) || path.ends_with(".torrent") || path.ends_with(".meta4")) {
    return std::string{};
  }
  return name_from_url(source);
}

std::string working_directory_name(const std::string& name, const std::string& source) {
  std::string base = name.empty() ? std::string(last_segment(path_of(source))) : name;
  return "." + base.substr(0, kNameBytesMax) + ".lanward";
}

Result<void> check_directory(const std::string& directory) {
  std::error_code failure;
  if (!fs::is_directory(directory, failure)) {
    return fail(ErrorCode::destination,
                fmt::format("there is no directory '{}' to put the file in; create it or choose "
                            "another -o",
                            directory));
  }
  if (access(directory.c_str(), W_OK | X_OK) != 0) {
    return fail(ErrorCode::destination,
                fmt::format("directory '{}' cannot be written: {}; choose another -o", directory,
                            std::strerror(errno)));
  }
  return {};
}

}  // namespace

bool is_url(std::string_view source) noexcept {
  return starts_with_ignoring_case(source, "http://") ||
         starts_with_ignoring_case(source, "https://");
}

Result<std::string> name_from_url(std::string_view url) {
  std::string name = percent_decoded(last_segment(path_of(url)));
  if (is_safe_name(name)) return name;
  return fail(ErrorCode::invalid_argument,
              fmt::format("'{}' ends in no usable file name; say where to put it with -o", url));
}

Result<DeliveryPlan> plan_delivery(const std::string& source, const std::string& output) {
  DeliveryPlan plan;
  std::error_code ignored;
  if (output.empty() || output.back() == '/' || fs::is_directory(output, ignored)) {
    plan.directory = output.empty() ? "." : output;
    auto name = suggested_name(source);
    if (!name) return tl::unexpected(name.error());
    plan.name = *std::move(name);
  } else {
    const fs::path path(output);
    plan.directory = path.has_parent_path() ? path.parent_path().string() : ".";
    plan.name = path.filename().string();
  }
  if (auto checked = check_directory(plan.directory); !checked) {
    return tl::unexpected(checked.error());
  }
  const fs::path directory(plan.directory);
  if (!plan.name.empty() && fs::is_directory(directory / plan.name, ignored)) {
    return fail(ErrorCode::destination, fmt::format("'{}' is a directory; choose another -o",
                                                    (directory / plan.name).string()));
  }
  plan.working_directory = (directory / working_directory_name(plan.name, source)).string();
  return plan;
}

FileRequest file_request_of(const FileOptions& options, const DeliveryPlan& plan) {
  FileRequest file;
  file.source = options.source;
  // Ends in '/' without a name: the engine adds the one that the manifest suggests.
  file.destination = (fs::path(plan.directory) / plan.name).lexically_normal().string();
  file.manifest = options.manifest;
  file.mirrors = options.mirrors;
  file.caches = options.caches;
  file.peers = options.peers;
  file.trackers = options.trackers;
  file.use_origin = options.use_origin;
  file.use_peers = options.use_peers;
  file.integrity_mandatory = options.integrity_mandatory;
  file.digests = options.digests;
  return file;
}

namespace {

Result<void> make_absolute(std::string& path) {
  std::error_code failure;
  const fs::path absolute = fs::absolute(path, failure);
  if (failure) {
    return fail(ErrorCode::disk_io, fmt::format("cannot tell what '{}' means here: {}; give an "
                                                "absolute path",
                                                path, failure.message()));
  }
  path = absolute.lexically_normal().string();
  return {};
}

}  // namespace

Result<FileRequest> with_absolute_paths(FileRequest file) {
  for (std::string* path : {&file.source, &file.destination, &file.manifest}) {
    if (path->empty() || is_url(*path)) continue;
    if (auto done = make_absolute(*path); !done) return tl::unexpected(done.error());
  }
  return file;
}

Result<JobChange> with_absolute_paths(JobChange change) {
  for (std::optional<std::string>* path : {&change.client_certificate, &change.client_key}) {
    if (!*path || (*path)->empty()) continue;
    if (auto done = make_absolute(**path); !done) return tl::unexpected(done.error());
  }
  return change;
}

StateEnvironment state_environment() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  return {geteuid() == 0, variable("XDG_STATE_HOME"), variable("HOME")};
}

Result<std::string> default_state_directory(const StateEnvironment& environment) {
  if (environment.is_root) return "/var/lib/lanward";
  // A relative one is to be ignored, says the XDG Base Directory Specification.
  if (environment.xdg_state_home.starts_with('/')) return environment.xdg_state_home + "/lanward";
  if (environment.home.starts_with('/')) return environment.home + "/.local/state/lanward";
  return fail(ErrorCode::invalid_argument,
              "there is no home directory to keep the job queue in; say where with --state");
}

Result<WorkingDirectory> WorkingDirectory::create(std::string path) {
  if (mkdir(path.c_str(), 0700) == 0) return WorkingDirectory(std::move(path), true);
  const int failure = errno;
  struct stat facts {};
  if (failure != EEXIST || lstat(path.c_str(), &facts) != 0) {
    return fail(failure == ENOSPC ? ErrorCode::disk_full : ErrorCode::destination,
                fmt::format("cannot create the working directory '{}': {}; choose another -o or "
                            "give --cache",
                            path, std::strerror(failure)));
  }
  // In a directory others may write, somebody could have planted a link or a directory of theirs.
  if (!S_ISDIR(facts.st_mode) || facts.st_uid != geteuid()) {
    return fail(ErrorCode::destination,
                fmt::format("'{}' is in the way and not a directory of yours; remove it or give "
                            "--cache",
                            path));
  }
  return WorkingDirectory(std::move(path), false);
}

Result<void> WorkingDirectory::remove() const {
  std::error_code failure;
  fs::remove_all(path_, failure);
  if (!failure) return {};
  return fail(ErrorCode::disk_io, fmt::format("cannot remove the working directory '{}': {}; "
                                              "remove it yourself",
                                              path_, failure.message()));
}

}  // namespace lanward::cli
