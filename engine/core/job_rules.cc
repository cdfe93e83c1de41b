#include "engine/core/job_rules.h"

#include <array>
#include <cstddef>
#include <string_view>

namespace lanward::core {
namespace {

// A cell of a table: the state that follows, or a refusal.
template <class State>
struct Cell {
  bool allowed = false;
  State next = {};
};

// clang-format off
constexpr Cell<JobState> kQueued{true, JobState::queued};
constexpr Cell<JobState> kConnec{true, JobState::connecting};
constexpr Cell<JobState> kTransf{true, JobState::transferring};
constexpr Cell<JobState> kSuspen{true, JobState::suspended};
constexpr Cell<JobState> kError{true, JobState::error};
constexpr Cell<JobState> kTransi{true, JobState::transient_error};
constexpr Cell<JobState> kDone{true, JobState::transferred};
constexpr Cell<JobState> kAckn{true, JobState::acknowledged};
constexpr Cell<JobState> kCanc{true, JobState::cancelled};
constexpr Cell<JobState> kNo{};

constexpr std::array<std::array<Cell<JobState>, 8>, 9> kJobTable = {{
  //                     add_file resume   suspend  cancel complete change   set_rem. read
  /* queued          */ {kQueued, kQueued, kSuspen, kCanc, kAckn,   kQueued, kQueued, kQueued},
  /* connecting      */ {kConnec, kConnec, kSuspen, kCanc, kAckn,   kConnec, kConnec, kConnec},
  /* transferring    */ {kTransf, kTransf, kSuspen, kCanc, kAckn,   kTransf, kTransf, kTransf},
  /* suspended       */ {kSuspen, kQueued, kSuspen, kCanc, kAckn,   kSuspen, kSuspen, kSuspen},
  /* error           */ {kError,  kQueued, kError,  kCanc, kAckn,   kError,  kError,  kError },
  /* transient_error */ {kTransi, kQueued, kSuspen, kCanc, kAckn,   kTransi, kTransi, kTransi},
  /* transferred     */ {kSuspen, kDone,   kDone,   kCanc, kAckn,   kDone,   kDone,   kDone  },
  /* acknowledged    */ {kNo,     kNo,     kNo,     kNo,   kNo,     kNo,     kNo,     kNo    },
  /* cancelled       */ {kNo,     kNo,     kNo,     kNo,   kNo,     kNo,     kNo,     kNo    },
}};

// The letter of a state: it may follow the state of the row.
// - A running job (queued, connecting, transferring, transient_error) goes to and fro: a file waits
//   for its turn, the next one is connected, a source returns.
// - A stopped one goes on by resume() only, that is to queued.
// - Every job that is not final becomes transferred when complete() cannot deliver all its files.
constexpr std::array<std::string_view, 9> kFollows = {
  //                    Queued Connecting Transferring Suspended Error tRansient_error
  //                    transferred (D) Acknowledged cancelled (X)
  /* queued          */ "QCTSERDAX",
  /* connecting      */ "QCTSERDAX",
  /* transferring    */ "QCTSERDAX",
  /* suspended       */ "Q..S..DAX",
  /* error           */ "Q...E.DAX",
  /* transient_error */ "QCTSERDAX",
  /* transferred     */ "...S..DAX",
  /* acknowledged    */ ".......A.",
  /* cancelled       */ "........X",
};

constexpr Cell<DownloadState> kCrea{true, DownloadState::created};
constexpr Cell<DownloadState> kMove{true, DownloadState::transferring};
constexpr Cell<DownloadState> kFull{true, DownloadState::transferred};
constexpr Cell<DownloadState> kFinal{true, DownloadState::finalized};
constexpr Cell<DownloadState> kAbor{true, DownloadState::aborted};
constexpr Cell<DownloadState> kPaus{true, DownloadState::paused};
constexpr Cell<DownloadState> kNever{};

constexpr std::array<std::array<Cell<DownloadState>, 4>, 6> kDownloadTable = {{
  //                  start   pause   finalize abort
  /* created      */ {kMove,  kCrea,  kNever,  kAbor },
  /* transferring */ {kMove,  kPaus,  kNever,  kAbor },
  /* transferred  */ {kFull,  kFull,  kFinal,  kAbor },
  /* finalized    */ {kNever, kNever, kFinal,  kNever},
  /* aborted      */ {kNever, kNever, kNever,  kAbor },
  /* paused       */ {kMove,  kPaus,  kNever,  kAbor },
}};
// clang-format on

template <class Enum>
constexpr std::size_t index(Enum value) {
  return static_cast<std::size_t>(value);
}
static_assert(kJobTable.size() == index(JobState::cancelled) + 1);
static_assert(kJobTable[0].size() == index(JobCall::read) + 1);
static_assert(kFollows.size() == index(JobState::cancelled) + 1);
static_assert(kDownloadTable.size() == index(DownloadState::paused) + 1);
static_assert(kDownloadTable[0].size() == index(DownloadCall::abort) + 1);

}  // namespace

Ruling judge(JobState state, JobCall call) {
  const Cell<JobState> cell = kJobTable[index(state)][index(call)];
  if (!cell.allowed) return {.refused = ErrorCode::invalid_state, .next = state};
  return {.refused = {}, .next = cell.next};
}

bool is_final(JobState state) {
  return state == JobState::acknowledged || state == JobState::cancelled;
}

bool may_follow(JobState from, JobState to) { return kFollows[index(from)][index(to)] != '.'; }

const char* to_string(DownloadState state) noexcept {
  constexpr std::array kNames = {"created",   "transferring", "transferred",
                                 "finalized", "aborted",      "paused"};
  return index(state) < kNames.size() ? kNames[index(state)] : "created";
}

DownloadRuling judge(DownloadState state, DownloadCall call) {
  const Cell<DownloadState> cell = kDownloadTable[index(state)][index(call)];
  if (!cell.allowed) return {.refused = ErrorCode::invalid_state, .next = state};
  return {.refused = {}, .next = cell.next};
}

bool is_final(DownloadState state) {
  return state == DownloadState::finalized || state == DownloadState::aborted;
}

}  // namespace lanward::core
