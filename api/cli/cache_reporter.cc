#include "api/cli/cache_reporter.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/cli/format.h"
#include "api/cli/json_stream.h"

namespace lanward::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::chrono::milliseconds kTerminalInterval{250};  // smooth, and cheap to draw
constexpr std::chrono::milliseconds kPlainInterval{2000};    // readable in a log
// Enough to tell the contents of a large cache apart, and short enough for a line.
constexpr std::size_t kShownDigits = 12;

// "7 s", "12 min", "3 h", "4 d": of `seconds`.
std::string rough_time(std::int64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", std::max<std::int64_t>(seconds, 0));
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 48LL * 3600) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / (24LL * 3600));
}

std::int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string short_id(const std::string& id) { return id.substr(0, kShownDigits); }

// "pinned, expires in 3 h"
std::string remarks(const CachedContent& content, std::int64_t now) {
  std::string text;
  const auto add = [&](const std::string& remark) { text += (text.empty() ? "" : ", ") + remark; };
  if (content.pinned) add("pinned");
  if (content.manifest_known && !content.shared) add("private");
  if (content.open) add("in use");
  if (!content.jobs.empty()) {
    add(fmt::format("{} job{}", content.jobs.size(), content.jobs.size() == 1 ? "" : "s"));
  }
  if (content.expires) {
    add(*content.expires <= now ? "expired" : "goes in " + rough_time(*content.expires - now));
  }
  if (!content.manifest_known) add("no manifest");
  if (!content.elsewhere.empty()) add("at " + printable(content.elsewhere));
  return text;
}

class HumanCacheReporter final : public CacheReporter {
 public:
  explicit HumanCacheReporter(Streams streams) : console_(streams) {}

  std::chrono::milliseconds interval() const override {
    return console_.terminal() ? kTerminalInterval : kPlainInterval;
  }

  void status(const CacheStatus& cache) override {
    field("cache", printable(cache.directory));
    std::string used = format_bytes(cache.used_bytes);
    if (cache.quota_bytes) {
      // What is pinned does not count.
      const std::uint64_t counted = cache.used_bytes - cache.pinned_bytes;
      used += fmt::format(", {}% of the {} that may be used", percent(counted, *cache.quota_bytes),
                          format_bytes(*cache.quota_bytes));
    }
    field("used", used);
    field("contents", fmt::format("{}: {} complete, {} pinned", cache.contents,
                                  cache.complete_contents, cache.pinned_contents));
    field("pinned", format_bytes(cache.pinned_bytes));
    field("of jobs", format_bytes(cache.referenced_bytes));
    field("may go", format_bytes(cache.evictable_bytes));
    field("disk", fmt::format("{} free of {}", format_bytes(cache.free_bytes),
                              format_bytes(cache.disk_bytes)));
    if (!cache.trouble.empty()) field("trouble", printable(cache.trouble));
  }

  void listed(const std::vector<CachedContent>& contents) override {
    if (contents.empty()) return;
    const std::int64_t now = now_seconds();
    row("ID", "SIZE", "HAVE", "USED", "NAME");
    for (const CachedContent& content : contents) {
      std::string name = printable(content.name);
      if (const std::string more = remarks(content, now); !more.empty()) name += " (" + more + ")";
      row(short_id(content.id), format_bytes(content.size),
          fmt::format("{}%", percent(content.verified_bytes, content.size)),
          rough_time(now - content.last_use), name);
    }
  }

  void changed(const char* what, const CachedContent& content) override {
    console_.result(fmt::format("{} {} {}", short_id(content.id), what, printable(content.name)));
  }

  void removed(const std::string& id) override { console_.result(short_id(id) + " deleted"); }

  void exported(const std::string& id, const std::string& destination) override {
    console_.result(short_id(id) + " -> " + printable(destination));
  }

  void trimmed(const TrimResult& result) override {
    console_.result(fmt::format("{} content{} evicted, {} freed", result.contents,
                                result.contents == 1 ? "" : "s", format_bytes(result.bytes)));
  }

  void progress(const char* what, std::uint64_t done, std::uint64_t total) override {
    const std::string text = fmt::format("{} {:3}%  {} of {}", what, percent(done, total),
                                         format_bytes(done), format_bytes(total));
    console_.terminal() ? console_.draw(text) : console_.line(text);
  }

  void checked(const ContentCheck& check) override {
    if (check.verdict == CheckVerdict::good) return;
    std::string text = short_id(check.id) + " " + to_string(check.verdict);
    if (!check.bad_pieces.empty()) {
      text += fmt::format(": {} piece{} dropped", check.bad_pieces.size(),
                          check.bad_pieces.size() == 1 ? "" : "s");
    }
    if (check.error) text += ": " + printable(check.error->message);
    console_.line(text);
  }

  void check_ended(const std::vector<ContentCheck>& checks) override {
    const auto count = [&](CheckVerdict verdict) {
      return std::count_if(checks.begin(), checks.end(),
                           [&](const ContentCheck& check) { return check.verdict == verdict; });
    };
    std::uint64_t bytes = 0;
    for (const ContentCheck& check : checks) bytes += check.checked_bytes;
    std::string text =
        fmt::format("{} checked, {} good", format_bytes(bytes), count(CheckVerdict::good));
    for (const CheckVerdict verdict : {CheckVerdict::bad, CheckVerdict::unverifiable,
                                       CheckVerdict::in_use, CheckVerdict::failed}) {
      if (count(verdict) > 0) text += fmt::format(", {} {}", count(verdict), to_string(verdict));
    }
    console_.result(text);
  }

  void id_failed(const std::string& id, const Error& error) override {
    console_.line("lanward: " + printable(id) + ": " + printable(error.message));
  }

  void failed(const Error& error, ExitCode) override {
    console_.line("lanward: " + printable(error.message));
  }

 private:
  void field(const char* name, const std::string& value) {
    console_.result(fmt::format("{:<9} {}", name, value));
  }

  void row(const std::string& id, const std::string& size, const std::string& have,
           const std::string& used, const std::string& name) {
    console_.result(fmt::format("{:<12}  {:>9}  {:>4}  {:>6}  {}", id, size, have, used, name));
  }

  Console console_;
};

ordered_json time_of(std::int64_t seconds) {
  return timestamp(std::chrono::system_clock::time_point(std::chrono::seconds(seconds)));
}

ordered_json time_of(const std::optional<std::int64_t>& seconds) {
  return seconds ? time_of(*seconds) : ordered_json(nullptr);
}

ordered_json fields_of(const CachedContent& content) {
  ordered_json jobs = ordered_json::array();
  for (const JobId& job : content.jobs) jobs.push_back(to_string(job));
  return {{"id", content.id},
          {"name", content.name},
          {"origin", content.origin},
          {"size", content.size},
          {"piece_size", content.piece_bytes},
          {"verified", content.verified_bytes},
          {"disk", content.disk_bytes},
          {"pinned", content.pinned},
          {"shared", content.shared},
          {"open", content.open},
          {"manifest_known", content.manifest_known},
          {"elsewhere", content.elsewhere},
          {"jobs", std::move(jobs)},
          {"created", time_of(content.created)},
          {"last_use", time_of(content.last_use)},
          {"expires", time_of(content.expires)},
          {"last_check", time_of(content.last_check)}};
}

// Field names and meanings are a promise: docs/cli.md lists them.
class JsonCacheReporter final : public CacheReporter {
 public:
  explicit JsonCacheReporter(Streams streams) : stream_(streams.out), console_(streams) {}

  std::chrono::milliseconds interval() const override { return kPlainInterval; }

  void status(const CacheStatus& cache) override {
    ordered_json quota = nullptr;
    if (cache.quota_bytes) quota = *cache.quota_bytes;
    stream_.emit("status", {{"cache", cache.directory},
                            {"used", cache.used_bytes},
                            {"pinned", cache.pinned_bytes},
                            {"of_jobs", cache.referenced_bytes},
                            {"evictable", cache.evictable_bytes},
                            {"quota", std::move(quota)},
                            {"disk", cache.disk_bytes},
                            {"disk_free", cache.free_bytes},
                            {"contents", cache.contents},
                            {"contents_complete", cache.complete_contents},
                            {"contents_pinned", cache.pinned_contents},
                            {"trouble", cache.trouble}});
  }

  void listed(const std::vector<CachedContent>& contents) override {
    for (const CachedContent& content : contents) stream_.emit("content", fields_of(content));
  }

  void changed(const char* what, const CachedContent& content) override {
    ordered_json fields = fields_of(content);
    fields["change"] = what;
    stream_.emit("changed", fields);
  }

  void removed(const std::string& id) override { stream_.emit("deleted", {{"id", id}}); }

  void exported(const std::string& id, const std::string& destination) override {
    stream_.emit("exported", {{"id", id}, {"destination", destination}});
  }

  void trimmed(const TrimResult& result) override {
    stream_.emit("trimmed", {{"contents", result.contents}, {"bytes", result.bytes}});
  }

  void progress(const char* what, std::uint64_t done, std::uint64_t total) override {
    stream_.emit("progress", {{"doing", what}, {"done", done}, {"total", total}});
  }

  void checked(const ContentCheck& check) override {
    stream_.emit("checked", {{"id", check.id},
                             {"verdict", to_string(check.verdict)},
                             {"checked", check.checked_bytes},
                             {"pieces_checked", check.pieces_checked},
                             {"bad_pieces", check.bad_pieces},
                             {"pieces_found", check.pieces_found},
                             {"error", check.error ? json_of(*check.error) : nullptr}});
  }

  void check_ended(const std::vector<ContentCheck>& checks) override {
    const auto bad = std::count_if(checks.begin(), checks.end(), [](const ContentCheck& check) {
      return check.verdict == CheckVerdict::bad;
    });
    stream_.emit("verified", {{"contents", checks.size()}, {"bad", bad}});
  }

  void id_failed(const std::string& id, const Error& error) override {
    ordered_json fields = json_of(error);
    fields["id"] = id;
    stream_.emit("id_error", fields);
    console_.line("lanward: " + printable(id) + ": " + printable(error.message));
  }

  void failed(const Error& error, ExitCode exit_code) override {
    ordered_json fields = json_of(error);
    fields["exit_code"] = static_cast<int>(exit_code);
    stream_.emit("error", fields);
    console_.line("lanward: " + printable(error.message));
  }

 private:
  JsonStream stream_;
  Console console_;
};

}  // namespace

std::unique_ptr<CacheReporter> make_cache_reporter(bool json, Streams streams) {
  if (json) return std::make_unique<JsonCacheReporter>(streams);
  return std::make_unique<HumanCacheReporter>(streams);
}

}  // namespace lanward::cli
