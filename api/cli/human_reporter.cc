#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "api/cli/console.h"
#include "api/cli/format.h"
#include "api/cli/reporter.h"

namespace lanward::cli {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval{250};  // smooth, and cheap to draw
constexpr std::chrono::milliseconds kPlainInterval{2000};    // readable in a log
// More peers than fit a screen are summed up; --json has them all.
constexpr std::size_t kPeersListedMax = 20;

// Nobody wonders before why there are no peers.
constexpr std::chrono::seconds kLongLooking{10};

// What whoever runs the command can have done, or can do something about, and was not told by a
// note already.
bool is_worth_telling(PeersReason reason) {
  switch (reason) {
    case PeersReason::private_content:
    case PeersReason::rules_stopped:
    case PeersReason::addresses_refused:
    case PeersReason::handshake_refused:
    case PeersReason::busy:
      return true;
    default:
      return false;
  }
}

std::string integrity_text(const FileStatus& file) {
  const std::string algorithm = file.digest.substr(0, file.digest.find('='));
  switch (file.integrity) {
    case Integrity::manifest:
      return "verified against the SHA-256 hash tree of its manifest" +
             (algorithm.empty() ? "" : " and its " + algorithm);
    case Integrity::digest:
      return is_verified(file) ? "verified: the whole file has the " + algorithm + " it must have"
                               : "the whole file has the " + algorithm +
                                     " it must have: a protection against accidents only";
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
  explicit HumanReporter(Streams streams) : console_(streams) {}

  std::chrono::milliseconds interval() const override {
    return console_.terminal() ? kTerminalInterval : kPlainInterval;
  }

  void listening(const Endpoint& endpoint) override {
    if (!console_.terminal())
      console_.line(fmt::format("listening on {}:{}, {}", endpoint.address, endpoint.port,
                                access_text(endpoint)));
  }

  void state(JobState state, const std::optional<Error>& error) override {
    std::string text = state_text(state, error);
    // On a terminal the progress line tells the state, and the outcome has its own report; only the
    // cause of a wait deserves a line everywhere.
    const bool waits = state == JobState::transient_error && error;
    const bool on_the_way = state == JobState::connecting || state == JobState::transferring;
    const bool worth_a_line = waits || (on_the_way && !console_.terminal());
    if (worth_a_line && text != last_state_) console_.line(text);
    last_state_ = std::move(text);
  }

  void note(const FileStatus& file) override { console_.line("note: " + printable(file.note)); }

  void progress(const Progress& progress, JobState state) override {
    if (state == JobState::transferring) tell_peers(progress.peers_answer);
    if (console_.terminal()) {
      console_.draw(progress_line(progress, state, console_.width()));
    } else if (state == JobState::transferring) {
      console_.line(progress_line(progress, state, console_.width()));
    }
  }

  void delivered(const Summary& summary) override {
    console_.clear();
    const std::uint64_t size = size_of(summary);
    const auto milliseconds =
        static_cast<std::uint64_t>(std::max<std::int64_t>(1, summary.elapsed.count()));
    const std::uint64_t fetched = size - std::min(size, summary.progress.cached_bytes);
    console_.result(
        fmt::format("{}: {} in {} ({})",
                    summary.others.empty() ? printable(summary.file.destination)
                                           : fmt::format("{} files", summary.others.size() + 1),
                    format_bytes(size), format_elapsed(summary.elapsed),
                    format_rate(static_cast<std::uint64_t>(static_cast<double>(fetched) * 1000 /
                                                           static_cast<double>(milliseconds)))));
    for (const std::string& row : source_rows(summary)) console_.result(row);
    const PeersAnswer& peers = summary.progress.peers_answer;
    if (summary.progress.peer_bytes == 0 && is_worth_telling(peers.reason)) {
      console_.result(fmt::format("  {:<11} {}", "no peers", printable(peers.text)));
    }
    if (summary.others.empty()) {
      return console_.result(fmt::format("  {:<11} {}", "integrity", integrity_text(summary.file)));
    }
    file_row(summary.file);
    for (const FileStatus& file : summary.others) file_row(file);
  }

  void sharing(const Endpoint& endpoint, const Share& share) override {
    console_.line(
        fmt::format("sharing on {}:{} {}", endpoint.address, endpoint.port, share_text(share)));
  }

  void share_ended(const std::vector<SourceStats>& sources) override {
    std::uint64_t served = 0;
    std::size_t peers = 0;
    for (const SourceStats& source : sources) {
      served += source.served_bytes;
      peers += source.served_bytes > 0;
    }
    console_.line(fmt::format("sharing ended: served {} to {} peer{}", format_bytes(served), peers,
                              peers == 1 ? "" : "s"));
  }

  void hashing(std::uint64_t done_bytes, std::uint64_t total_bytes) override {
    if (!console_.terminal()) return;
    console_.draw(fmt::format("hashing {:3}%  {} of {}", percent(done_bytes, total_bytes),
                              format_bytes(done_bytes), format_bytes(total_bytes)));
  }

  void published(const Published& published) override {
    console_.clear();
    console_.result(printable(published.manifest_path));
    console_.result("  infohash     " + published.infohash);
    console_.result(fmt::format("  size         {} ({} bytes)", format_bytes(published.size_bytes),
                                published.size_bytes));
    console_.result("  piece length " + format_bytes(published.piece_bytes));
  }

  void failed(const Error& error, ExitCode, const std::string& kept) override {
    console_.line(failure_line(error, kept));
  }

  void warning(const std::string& message) override {
    console_.line("lanward: " + printable(message));
  }

 private:
  static std::uint64_t size_of(const Summary& summary) {
    std::uint64_t size = summary.file.total_bytes;
    for (const FileStatus& file : summary.others) size += file.total_bytes;
    return size;
  }

  // Each reason once.
  void tell_peers(const PeersAnswer& answer) {
    if (answer.reason == PeersReason::looking) {
      if (looking_since_ == Clock::time_point{}) looking_since_ = Clock::now();
      if (Clock::now() - looking_since_ < kLongLooking) return;
    } else if (!is_worth_telling(answer.reason)) {
      return;
    }
    if (!told_.insert(answer.reason).second) return;
    console_.line("no peers: " + printable(answer.text));
  }

  void file_row(const FileStatus& file) {
    console_.result(fmt::format("  {}: {}, {}", printable(file.destination),
                                format_bytes(file.total_bytes), integrity_text(file)));
  }

  static std::vector<std::string> source_rows(const Summary& summary) {
    const std::uint64_t size = size_of(summary);
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

  using Clock = std::chrono::steady_clock;
  Console console_;
  std::string last_state_;
  std::set<PeersReason> told_;
  Clock::time_point looking_since_{};
};

class QuietReporter final : public Reporter {
 public:
  explicit QuietReporter(Streams streams) : streams_(streams) {}

  std::chrono::milliseconds interval() const override { return kPlainInterval; }
  void listening(const Endpoint&) override {}
  void state(JobState, const std::optional<Error>&) override {}
  void note(const FileStatus&) override {}
  void progress(const Progress&, JobState) override {}
  bool wants_summary() const override { return false; }
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

bool is_verified(const FileStatus& file) {
  const bool strong = file.digest.starts_with("sha-256=") || file.digest.starts_with("sha-512=");
  return file.integrity == Integrity::manifest || (file.integrity == Integrity::digest && strong);
}

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
