#include "engine/jobs/sharer.h"

#include <chrono>
#include <utility>
#include <variant>

#include "engine/core/overloaded.h"
#include "engine/jobs/countdown.h"

namespace lanward::jobs {
namespace {

// What is new in the cache, by an import or a job that has ended, is offered within this time. A
// look reads the index, which takes milliseconds for ten thousand contents.
constexpr std::chrono::seconds kLookInterval{10};
// News of jobs that end come in bursts.
constexpr std::chrono::milliseconds kLookDelay{500};
// Manifests asked for at a time: of large files they have a megabyte.
constexpr std::size_t kOffersMax = 32;

}  // namespace

Sharer::Sharer(const Ports& ports, std::size_t max)
    : ports_(ports),
      max_(ports.swarm == nullptr ? 0 : max),
      timer_(ports.loop.make_timer([this] { look(); })) {}

Sharer::~Sharer() = default;

ports::Task Sharer::on_loop(ports::Task task) {
  return
      [&loop = ports_.loop, life = std::weak_ptr<char>(life_), task = std::move(task)]() mutable {
        loop.post([life, task = std::move(task)]() mutable {
          if (!life.expired()) task();
        });
      };
}

void Sharer::start() {
  if (max_ > 0) look();
}

// ---- what there is to share --------------------------------------------------------------------

void Sharer::look_again(core::Duration delay) {
  if (max_ > 0 && !closing_) timer_->arm(ports_.loop.now() + delay);
}

void Sharer::look() {
  look_again(kLookInterval);
  if (!closing_ && max_ > 0 && ports_.swarm->upload_status().bar != UploadBar::none) {
    return end_all();
  }
  if (closing_ || looking_ || !offers_.empty() || loans_.size() >= max_) return;
  looking_ = true;
  std::set<core::Digest> skip = taken_;
  for (const auto& [id, loan] : loans_) skip.insert(id);
  ports_.store.list_lendable(std::min(kOffersMax, max_ - loans_.size()), std::move(skip),
                             [this, &loop = ports_.loop, life = std::weak_ptr<char>(life_)](
                                 std::vector<core::Manifest> found) {
                               loop.post([this, life, found = std::move(found)]() mutable {
                                 if (life.expired()) return;
                                 looking_ = false;
                                 for (core::Manifest& manifest : found)
                                   offers_.push_back(std::move(manifest));
                                 borrow_next();
                               });
                             });
}

// Who is given nothing must not be told that there is something.
void Sharer::end_all() {
  offers_.clear();
  std::vector<core::Digest> ids;
  for (const auto& [id, loan] : loans_) {
    if (!loan.ending) ids.push_back(id);
  }
  for (const core::Digest& id : ids) end(id, [] {});
}

// One after the other: an index that was lost makes each of them a matter of reading the file.
void Sharer::borrow_next() {
  while (!offers_.empty() && !closing_) {
    const core::Manifest manifest = std::move(offers_.front());
    offers_.pop_front();
    const core::Digest id = manifest.content.id;
    if (taken_.contains(id) || loans_.contains(id) || loans_.size() >= max_) continue;
    Loan& loan = loans_[id];
    const bool last = offers_.empty();
    ports_.store.lend(
        manifest.content, sink_of(id, loan),
        [this, &loop = ports_.loop, life = std::weak_ptr<char>(life_), &store = ports_.store,
         manifest, last](Result<std::shared_ptr<ports::ContentStore>> lent) {
          loop.post([this, life, &store, manifest, last, lent = std::move(lent)]() mutable {
            if (life.expired()) {
              if (lent) store.close(*lent, [](const Result<void>&) {});
              return;
            }
            borrowed_ = lent.has_value() || borrowed_;
            on_lent(manifest, std::move(lent));
            borrow_next();
            // There may be more of them; but what was refused now is not asked for without end.
            if (last && std::exchange(borrowed_, false)) look();
          });
        });
    return;
  }
}

void Sharer::on_lent(const core::Manifest& manifest,
                     Result<std::shared_ptr<ports::ContentStore>> lent) {
  const core::Digest& id = manifest.content.id;
  Loan& loan = loans_.at(id);
  if (!lent) return ended(id);
  loan.store = std::move(*lent);
  if (loan.ending)
    return ports_.store.close(loan.store, [task = on_loop([this, id] { ended(id); })](
                                              const Result<void>&) mutable { task(); });
  loan.member = ports_.swarm->join(
      {.manifest = manifest, .store = loan.store, .peers = {}, .trackers = {}}, sink_of(id, loan));
}

// ---- what happens to it ------------------------------------------------------------------------

ports::FactSink Sharer::sink_of(const core::Digest& id, const Loan& loan) {
  return [this, &loop = ports_.loop, life = std::weak_ptr<char>(loan.life), id](core::Event event) {
    loop.post([this, life, id, event = std::move(event)] {
      if (!life.expired()) on_fact(id, event);
    });
  };
}

void Sharer::on_fact(const core::Digest& id, const core::Event& event) {
  Loan& loan = loans_.at(id);
  std::visit(core::Overloaded{
                 [&](const core::PeerJoined& f) { loan.peers.insert(f.peer); },
                 [&](const core::PeerLeft& f) { loan.peers.erase(f.peer); },
                 [&](const core::PeerProgressed& f) { loan.served[f.peer] = f.served.value; },
                 // What it has lost, it offers no more once it is borrowed anew.
                 [&](const core::PieceLost&) { end(id, [this] { look_again(kLookDelay); }); },
                 [&](const core::StoreFailed&) { end(id, [] {}); },
                 [](const auto&) {},
             },
             event);
}

void Sharer::take(const core::Digest& id, ports::Task then) {
  taken_.insert(id);
  if (!loans_.contains(id)) return then();
  end(id, std::move(then));
}

void Sharer::give_back(const core::Digest& id) {
  if (taken_.erase(id) > 0) look_again(kLookDelay);
}

void Sharer::end(const core::Digest& id, ports::Task then) {
  Loan& loan = loans_.at(id);
  loan.ended.push_back(std::move(then));
  if (std::exchange(loan.ending, true)) return;
  if (loan.store == nullptr) return;  // on_lent() goes on
  auto close = on_loop([this, id] {
    Loan& left = loans_.at(id);
    left.member.reset();
    ports_.store.close(left.store, [task = on_loop([this, id] { ended(id); })](
                                       const Result<void>&) mutable { task(); });
  });
  if (loan.member == nullptr) return close();
  loan.member->leave(std::move(close));
}

void Sharer::ended(const core::Digest& id) {
  auto loan = loans_.extract(id);
  for (const auto& [peer, bytes] : loan.mapped().served) served_before_ += bytes;
  for (ports::Task& task : loan.mapped().ended) task();
}

void Sharer::close(ports::Task done) {
  closing_ = true;
  timer_->disarm();
  offers_.clear();
  const auto one_less = countdown(loans_.size() + 1, std::move(done));
  std::vector<core::Digest> ids;
  for (const auto& [id, loan] : loans_) ids.push_back(id);
  for (const core::Digest& id : ids) end(id, one_less);
  one_less();
}

SharingStatus Sharer::status() const {
  SharingStatus status{.served_bytes = served_before_};
  if (ports_.swarm != nullptr) status.upload = ports_.swarm->upload_status();
  for (const auto& [id, loan] : loans_) {
    if (loan.member != nullptr) ++status.contents;
    status.peers_connected += static_cast<std::uint32_t>(loan.peers.size());
    for (const auto& [peer, bytes] : loan.served) status.served_bytes += bytes;
  }
  return status;
}

}  // namespace lanward::jobs
