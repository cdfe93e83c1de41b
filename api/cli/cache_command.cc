#include <lanward/cache.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "api/cli/commands.h"
#include "api/cli/paths.h"

namespace lanward::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

Result<std::string> directory_of(const CacheCommand& options) {
  if (!options.cache.empty()) return options.cache;
  if (!options.state.empty()) return options.state + "/cache";
  auto state = default_state_directory(state_environment());
  if (!state) return state;
  return *state + "/cache";
}

// One run of `lanward cache`.
class CacheRun {
 public:
  CacheRun(const CacheCommand& options, CacheReporter& reporter, Waiter* waiter)
      : options_(options), reporter_(reporter), waiter_(waiter) {}

  ExitCode work() {
    const auto done =
        std::visit([this](const auto& command) { return open_and(command); }, options_.command);
    if (done) return exit_code_;
    const ExitCode exit_code = exit_code_of(done.error().code);
    reporter_.failed(done.error(), exit_code);
    return exit_code;
  }

 private:
  // Looking is possible while an engine owns the cache.
  static bool only_looks(const CacheStatusOf&) { return true; }
  static bool only_looks(const CacheList&) { return true; }
  static bool only_looks(const auto&) { return false; }

  Result<void> open_and(const auto& command) {
    auto directory = directory_of(options_);
    if (!directory) return tl::unexpected(directory.error());
    auto cache = Cache::open({.directory = *std::move(directory),
                              .policy = options_.policy,
                              .read_only = only_looks(command)});
    if (!cache) return tl::unexpected(cache.error());
    return execute(*cache, command);
  }

  Result<void> execute(Cache& cache, const CacheStatusOf&) {
    auto status = cache.status();
    if (!status) return tl::unexpected(status.error());
    reporter_.status(*status);
    return {};
  }

  Result<void> execute(Cache& cache, const CacheList&) {
    auto contents = cache.list();
    if (!contents) return tl::unexpected(contents.error());
    reporter_.listed(*contents);
    return {};
  }

  Result<void> execute(Cache& cache, const CacheTrim&) {
    auto trimmed = cache.trim();
    if (!trimmed) return tl::unexpected(trimmed.error());
    reporter_.trimmed(*trimmed);
    return {};
  }

  Result<void> execute(Cache& cache, const CachePin& pin) {
    return change_each(cache, pin.ids, pin.pinned ? "pinned" : "unpinned",
                       [&](const std::string& id) { return cache.pin(id, pin.pinned); });
  }

  Result<void> execute(Cache& cache, const CacheShare& share) {
    return change_each(cache, share.ids, share.shared ? "shared" : "not shared",
                       [&](const std::string& id) { return cache.share(id, share.shared); });
  }

  Result<void> execute(Cache& cache, const CacheExpire& expire) {
    std::optional<std::chrono::system_clock::time_point> when;
    if (expire.delay) when = std::chrono::system_clock::now() + *expire.delay;
    return change_each(cache, expire.ids, expire.delay ? "expires" : "never expires",
                       [&](const std::string& id) { return cache.expire(id, when); });
  }

  Result<void> execute(Cache& cache, const CacheDelete& command) {
    for (const std::string& given : command.ids) {
      const auto found = cache.find(given);
      const auto done = found ? cache.remove(found->id, command.pinned_too)
                              : Result<void>(tl::unexpected(found.error()));
      done ? reporter_.removed(found->id) : note(given, done.error());
    }
    return {};
  }

  Result<void> execute(Cache& cache, const CacheVerify& verify) {
    CheckOptions check;
    check.ids = verify.ids;
    check.bytes_per_second = verify.rate_bytes_per_s;
    check.progress = [this](const CheckProgress& progress) {
      if (progress.finished != nullptr) reporter_.checked(*progress.finished);
      return told("checking", progress.bytes_done, progress.bytes_total);
    };
    const auto checks = cache.verify(check);
    if (!checks) return tl::unexpected(stopped(checks.error()));
    reporter_.check_ended(*checks);
    for (const ContentCheck& each : *checks) {
      if (each.error) exit_code_ = exit_code_of(each.error->code);
    }
    for (const ContentCheck& each : *checks) {
      if (each.verdict == CheckVerdict::bad) exit_code_ = ExitCode::integrity;
    }
    return {};
  }

  Result<void> execute(Cache& cache, const CacheImport& import) {
    ImportOptions how;
    how.manifest = import.manifest;
    how.name = import.name;
    how.pin = import.pin;
    how.share = import.share;
    how.progress = [this](std::uint64_t done, std::uint64_t total) {
      return told("importing", done, total);
    };
    const auto content = cache.import_file(import.file, how);
    if (!content) return tl::unexpected(stopped(content.error()));
    reporter_.changed("imported", *content);
    return {};
  }

  Result<void> execute(Cache& cache, const CacheExport& command) {
    const auto content = cache.find(command.id);
    if (!content) return tl::unexpected(content.error());
    std::string destination = command.output;
    std::error_code ignored;
    if (destination.ends_with('/') || fs::is_directory(destination, ignored)) {
      // A name from outside must not lead elsewhere.
      const std::string name = fs::path(content->name).filename().string();
      if (name.empty() || name == "." || name == "..") {
        return fail(ErrorCode::invalid_argument,
                    "the content has no name: say one with -o DIRECTORY/NAME");
      }
      destination = (fs::path(destination) / name).string();
    }
    const auto done =
        cache.export_file(content->id, destination,
                          {.hard_link = command.hard_link, .with_manifest = command.with_manifest});
    if (!done) return tl::unexpected(done.error());
    reporter_.exported(content->id, destination);
    return {};
  }

  // `act` takes the id that is meant; each content is told of as it is then.
  Result<void> change_each(Cache& cache, const std::vector<std::string>& ids, const char* what,
                           const auto& act) {
    for (const std::string& given : ids) {
      auto found = cache.find(given);
      if (found) {
        if (auto done = act(found->id); !done) found = tl::unexpected(done.error());
      }
      if (found) found = cache.find(found->id);
      found ? reporter_.changed(what, *found) : note(given, found.error());
    }
    return {};
  }

  void note(const std::string& id, const Error& error) {
    reporter_.id_failed(id, error);
    if (exit_code_ == ExitCode::done) exit_code_ = exit_code_of(error.code);
  }

  // False after a signal.
  bool told(const char* what, std::uint64_t done, std::uint64_t total) {
    if (waiter_ != nullptr &&
        waiter_->wait(std::chrono::milliseconds{0}) == Waiter::Woken::signal) {
      return false;
    }
    const auto now = Clock::now();
    if (now < next_report_) return true;
    next_report_ = now + reporter_.interval();
    reporter_.progress(what, done, total);
    return true;
  }

  Error stopped(Error error) const {
    if (error.code == ErrorCode::cancelled && waiter_ != nullptr) {
      error.message = std::string("cancelled by ") + waiter_->signal_name();
    }
    return error;
  }

  const CacheCommand& options_;
  CacheReporter& reporter_;
  Waiter* waiter_;
  Clock::time_point next_report_ = Clock::now() + reporter_.interval();
  ExitCode exit_code_ = ExitCode::done;
};

}  // namespace

bool takes_long(const CacheCommand& options) {
  return std::holds_alternative<CacheVerify>(options.command) ||
         std::holds_alternative<CacheImport>(options.command);
}

ExitCode run_cache(const CacheCommand& options, CacheReporter& reporter, Waiter* waiter) {
  return CacheRun(options, reporter, waiter).work();
}

}  // namespace lanward::cli
