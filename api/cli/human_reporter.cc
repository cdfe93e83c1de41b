#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "api/cli/format.h"
#include "api/cli/reporter.h"

namespace lanward::cli {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval{250};  // smooth, and cheap to draw
constexpr std::chrono::milliseconds kPlainInterval{2000};    // readable in a log
constexpr std::size_t kWidthUnknown = 80;
// More peers than fit a screen are summed up; --json has them all.
constexpr std::size_t kPeersListedMax = 20;

// Control characters of names and messages from outside would steer the terminal.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::size_t terminal_width(std::FILE* stream) {
  winsize size{};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kWidthUnknown;
  return size.ws_col;
}

const char* integrity_text(Integrity integrity) {
  switch (integrity) {
    case Integrity::manifest:
      return "verified against the SHA-256 hash tree of its manifest";
    case Integrity::transport:
      return "NOT verified: without a manifest only the transport vouches for the bytes";
    case Integrity::unknown:
      break;
  }
  return "unknown";
}

std::string state_text(JobState state, const std::optional<Error>& error) {
  if (state == JobState::transient_error) {
    return error ? "waiting to retry: " + error->message : "waiting to retry";
  }
  return to_string(state);
}

std::string source_row(const std::string& label, std::uint64_t bytes, std::uint64_t size,
                       const std::string& name) {
  return fmt::format("  {:<11} {:>11}  {:>3}%  {}", label, format_bytes(bytes),
                     percent(bytes, size), printable(name));
}

std::string share_text(const Share& share) {
  if (!share.duration) return "until interrupted";
  return fmt::format("for {} s", share.duration->count());
}

class HumanReporter final : public Reporter {
 public:
  explicit HumanReporter(Streams streams)
      : streams_(streams), terminal_(isatty(fileno(streams.err)) == 1) {}
  ~HumanReporter() override { clear(); }

  std::chrono::milliseconds interval() const override {
    return terminal_ ? kTerminalInterval : kPlainInterval;
  }

  void listening(const Endpoint& endpoint) override {
    if (!terminal_) line(fmt::format("listening on {}:{}", endpoint.address, endpoint.port));
  }

  void state(JobState state, const std::optional<Error>& error) override {
    std::string text = state_text(state, error);
    // On a terminal the progress line tells the state, and the outcome has its own report; only the
    // cause of a wait deserves a line everywhere.
    const bool waits = state == JobState::transient_error && error;
    const bool on_the_way = state == JobState::connecting || state == JobState::transferring;
    const bool worth_a_line = waits || (on_the_way && !terminal_);
    if (worth_a_line && text != last_state_) line(text);
    last_state_ = std::move(text);
  }

  void note(const FileStatus& file) override { line("note: " + printable(file.note)); }

  void progress(const Progress& progress, JobState state) override {
    if (terminal_) {
      draw(progress_line(progress, state, terminal_width(streams_.err) - 1));
    } else if (state == JobState::transferring) {
      line(progress_line(progress, state, kWidthUnknown - 1));
    }
  }

  void delivered(const Summary& summary) override {
    clear();
    const std::uint64_t size = summary.file.total_bytes;
    const auto milliseconds =
        static_cast<std::uint64_t>(std::max<std::int64_t>(1, summary.elapsed.count()));
    const std::uint64_t fetched = size - std::min(size, summary.progress.cached_bytes);
    result(fmt::format("{}: {} in {} ({})", printable(summary.file.destination), format_bytes(size),
                       format_elapsed(summary.elapsed),
                       format_rate(static_cast<std::uint64_t>(static_cast<double>(fetched) * 1000 /
                                                              static_cast<double>(milliseconds)))));
    for (const std::string& row : source_rows(summary)) result(row);
    result(fmt::format("  {:<11} {}", "integrity", integrity_text(summary.file.integrity)));
  }

  void sharing(const Endpoint& endpoint, const Share& share) override {
    line(fmt::format("sharing on {}:{} {}", endpoint.address, endpoint.port, share_text(share)));
  }

  void share_ended(const std::vector<SourceStats>& sources) override {
    std::uint64_t served = 0;
    std::size_t peers = 0;
    for (const SourceStats& source : sources) {
      served += source.served_bytes;
      peers += source.served_bytes > 0;
    }
    line(fmt::format("sharing ended: served {} to {} peer{}", format_bytes(served), peers,
                     peers == 1 ? "" : "s"));
  }

  void hashing(std::uint64_t done_bytes, std::uint64_t total_bytes) override {
    if (!terminal_) return;
    draw(fmt::format("hashing {:3}%  {} of {}", percent(done_bytes, total_bytes),
                     format_bytes(done_bytes), format_bytes(total_bytes)));
  }

  void published(const Published& published) override {
    clear();
    result(printable(published.manifest_path));
    result("  infohash     " + published.infohash);
    result(fmt::format("  size         {} ({} bytes)", format_bytes(published.size_bytes),
                       published.size_bytes));
    result("  piece length " + format_bytes(published.piece_bytes));
  }

  void failed(const Error& error, ExitCode, const std::string& kept) override {
    line(failure_line(error, kept));
  }

  void warning(const std::string& message) override { line("lanward: " + printable(message)); }

 private:
  static std::vector<std::string> source_rows(const Summary& summary) {
    const std::uint64_t size = summary.file.total_bytes;
    std::vector<SourceStats> sources = summary.sources;
    std::stable_sort(sources.begin(), sources.end(), [](const auto& a, const auto& b) {
      if (a.kind != b.kind) return a.kind < b.kind;
      return a.received_bytes > b.received_bytes;
    });
    std::vector<std::string> rows;
    std::size_t peers = 0;
    std::uint64_t others = 0;
    for (const SourceStats& source : sources) {
      if (source.received_bytes == 0) continue;
      const bool is_peer = source.kind == SourceKind::peer;
      if (is_peer && ++peers > kPeersListedMax) {
        others += source.received_bytes;
        continue;
      }
      rows.push_back(
          source_row(is_peer ? "from peer" : "from CDN", source.received_bytes, size,
                     source.name + (source.banned ? " (banned: sent wrong bytes)" : "")));
    }
    if (others > 0) rows.push_back(source_row("from peers", others, size, "others"));
    if (summary.progress.cached_bytes > 0) {
      rows.push_back(source_row("from cache", summary.progress.cached_bytes, size, ""));
    }
    rows.push_back(source_row("duplicates", summary.progress.wasted_bytes, size, ""));
    return rows;
  }

  void draw(const std::string& text) {
    // Spaces wipe what a longer line before left behind.
    const std::size_t wipe = drawn_ > text.size() ? drawn_ - text.size() : 0;
    fmt::print(streams_.err, "\r{}{}", text, std::string(wipe, ' '));
    std::fflush(streams_.err);
    drawn_ = text.size();
  }

  void clear() {
    if (drawn_ == 0) return;
    fmt::print(streams_.err, "\r{}\r", std::string(drawn_, ' '));
    std::fflush(streams_.err);
    drawn_ = 0;
  }

  void line(const std::string& text) {
    clear();
    fmt::print(streams_.err, "{}\n", text);
    std::fflush(streams_.err);
  }

  void result(std::string text) {
    text.erase(text.find_last_not_of(' ') + 1);
    fmt::print(streams_.out, "{}\n", text);
    std::fflush(streams_.out);
  }

  Streams streams_;
  bool terminal_;
  std::size_t drawn_ = 0;  // characters of the line that is being updated in place
  std::string last_state_;
};

class QuietReporter final : public Reporter {
 public:
  explicit QuietReporter(Streams streams) : streams_(streams) {}

  std::chrono::milliseconds interval() const override { return kPlainInterval; }
  void listening(const Endpoint&) override {}
  void state(JobState, const std::optional<Error>&) override {}
  void note(const FileStatus&) override {}
  void progress(const Progress&, JobState) override {}
  void delivered(const Summary&) override {}
  void sharing(const Endpoint&, const Share&) override {}
  void share_ended(const std::vector<SourceStats>&) override {}
  void hashing(std::uint64_t, std::uint64_t) override {}
  void published(const Published&) override {}
  void failed(const Error& error, ExitCode, const std::string& kept) override {
    fmt::print(streams_.err, "{}\n", failure_line(error, kept));
  }
  void warning(const std::string& message) override {
    fmt::print(streams_.err, "lanward: {}\n", printable(message));
  }

 private:
  Streams streams_;
};

}  // namespace

std::string failure_line(const Error& error, const std::string& kept) {
  std::string text = "lanward: " + printable(error.message);
  if (!kept.empty()) {
    text +=
        fmt::format(" [verified pieces are kept in '{}': the same command continues from there]",
                    printable(kept));
  }
  return text;
}

std::unique_ptr<Reporter> make_human_reporter(Streams streams) {
  return std::make_unique<HumanReporter>(streams);
}

std::unique_ptr<Reporter> make_quiet_reporter(Streams streams) {
  return std::make_unique<QuietReporter>(streams);
}

std::unique_ptr<Reporter> make_reporter(bool json, bool quiet, Streams streams) {
  if (json) return make_json_reporter(streams);
  return quiet ? make_quiet_reporter(streams) : make_human_reporter(streams);
}

}  // namespace lanward::cli
