// The faults of HTTP servers that the engine has to live with; docs/http.md is made of this table.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "tests/cdn/fault_world.h"

namespace lanward::test {

// What a download comes to: the right file, an error whose text has `error` in it, or wrong bytes
// that nobody can tell from right ones.
struct FaultEnd {
  enum class Kind : std::uint8_t { file, error, wrong_bytes, not_applicable };
  Kind kind = Kind::file;
  std::string error = {};
  std::uint64_t requests_max = 0;  // over all servers
};

struct FaultRow {
  std::string id;    // of the test
  std::string name;  // of the fault, for people
  FaultEnd with;     // a manifest
  FaultEnd without;
  std::function<void(FaultWorld&)> arrange;
  // What must hold besides, after the download; may be empty.
  std::function<void(FaultWorld&, const FaultOutcome&)> check = {};
};

[[nodiscard]] std::span<const FaultRow> fault_rows();
// As in docs/http.md, one line each.
[[nodiscard]] std::string table_line(const FaultRow& row);

}  // namespace lanward::test
