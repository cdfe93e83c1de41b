#include <fmt/chrono.h>
#include <fmt/format.h>
#include <lanward/group.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "api/cli/commands.h"
#include "api/cli/json_stream.h"

namespace lanward::cli {
namespace {

std::string text_of(std::chrono::sys_seconds time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

void tell_people(const GroupInfo& group, const std::string& file) {
  fmt::print("group {} ({})\n", group.id, file);
  for (const GroupInfo::Key& key : group.keys) {
    const char* const state = key.preferred ? "used" : key.accepted ? "accepted" : "expired";
    fmt::print("key {}: {}, from {} until {}\n", key.id, state, text_of(key.from),
               key.until ? text_of(*key.until) : "replaced");
  }
}

void tell_programs(const GroupInfo& group, const std::string& file) {
  nlohmann::ordered_json keys = nlohmann::ordered_json::array();
  for (const GroupInfo::Key& key : group.keys) {
    nlohmann::ordered_json until;
    if (key.until) until = timestamp(*key.until);
    keys.push_back({{"id", key.id},
                    {"from", timestamp(key.from)},
                    {"until", until},
                    {"accepted", key.accepted},
                    {"used", key.preferred}});
  }
  JsonStream(stdout).emit("group", {{"id", group.id}, {"file", file}, {"keys", keys}});
}

Result<GroupInfo> act(const GroupCommand& options) {
  switch (options.action) {
    case GroupCommand::Action::init:
      return create_group(options.file);
    case GroupCommand::Action::rotate:
      return rotate_group(options.file, options.overlap);
    case GroupCommand::Action::show:
      break;
  }
  return describe_group(options.file);
}

}  // namespace

ExitCode run_group(const GroupCommand& options) {
  const auto group = act(options);
  if (!group) {
    fmt::print(stderr, "lanward: {}\n", group.error().message);
    return exit_code_of(group.error().code);
  }
  (options.json ? tell_programs : tell_people)(*group, options.file);
  return ExitCode::done;
}

}  // namespace lanward::cli
