#include "api/cli/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace lanward::cli {
namespace {

constexpr std::size_t kWidthUnknown = 80;

}  // namespace

std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

Console::Console(Streams streams)
    : streams_(streams), terminal_(isatty(fileno(streams.err)) == 1) {}

std::size_t Console::width() const {
  winsize size{};
  const bool known = terminal_ && ioctl(fileno(streams_.err), TIOCGWINSZ, &size) == 0;
  return (known && size.ws_col != 0 ? size.ws_col : kWidthUnknown) - 1;
}

void Console::draw(const std::string& text) {
  // Spaces wipe what a longer line before left behind.
  const std::size_t wipe = drawn_ > text.size() ? drawn_ - text.size() : 0;
  fmt::print(streams_.err, "\r{}{}", text, std::string(wipe, ' '));
  std::fflush(streams_.err);
  drawn_ = text.size();
}

void Console::clear() {
  if (drawn_ == 0) return;
  fmt::print(streams_.err, "\r{}\r", std::string(drawn_, ' '));
  std::fflush(streams_.err);
  drawn_ = 0;
}

void Console::line(const std::string& text) {
  clear();
  fmt::print(streams_.err, "{}\n", text);
  std::fflush(streams_.err);
}

void Console::result(std::string text) {
  clear();
  text.erase(text.find_last_not_of(' ') + 1);
  fmt::print(streams_.out, "{}\n", text);
  std::fflush(streams_.out);
}

}  // namespace lanward::cli
