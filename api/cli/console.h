// Lines for a person: results on standard output, the rest on standard error.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

namespace lanward::cli {

// Results go to `out`, everything else to `err`; both outlive what prints on them.
struct Streams {
  std::FILE* out = stdout;
  std::FILE* err = stderr;
};

// Without control characters: names and messages from outside would steer the terminal.
[[nodiscard]] std::string printable(std::string text);

// One thread.
class Console {
 public:
  explicit Console(Streams streams);
  ~Console() { clear(); }
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // Standard error is a terminal.
  [[nodiscard]] bool terminal() const { return terminal_; }
  // Characters that fit in a line which is updated in place.
  [[nodiscard]] std::size_t width() const;

  // Updates a line in place; terminals only.
  void draw(const std::string& text);
  // Wipes what draw() left.
  void clear();
  // A line of progress or of a message.
  void line(const std::string& text);
  // A line of the result.
  void result(std::string text);

 private:
  Streams streams_;
  bool terminal_;
  std::size_t drawn_ = 0;  // characters of the line that is being updated in place
};

}  // namespace lanward::cli
