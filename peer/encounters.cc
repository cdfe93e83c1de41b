#include "peer/encounters.h"

#include <utility>

namespace lanward::peer {

void SessionFacts::set_rules(const core::PeerRules& rules) {
  const std::lock_guard lock(mutex_);
  rules_ = rules;
}

core::PeerRules SessionFacts::rules() const {
  const std::lock_guard lock(mutex_);
  return rules_;
}

void Encounters::belong_to(std::shared_ptr<SessionFacts> session) {
  const std::lock_guard lock(mutex_);
  session_ = std::move(session);
}

void Encounters::found(const core::Address& address) {
  const std::lock_guard lock(mutex_);
  if (found_.size() < kAddressesMax) found_.insert(address);
}

bool Encounters::permits(const core::Address& address) const {
  const std::lock_guard lock(mutex_);
  return session_ == nullptr || core::peer_fault(session_->rules(), address) == nullptr;
}

void Encounters::refused(core::PeerRefusal why) {
  const std::lock_guard lock(mutex_);
  ++refused_;
  last_ = why;
}

void Encounters::connection_began() {
  const std::lock_guard lock(mutex_);
  if (session_ != nullptr) session_->connection_began();
}

void Encounters::connection_ended() {
  const std::lock_guard lock(mutex_);
  if (session_ != nullptr) session_->connection_ended();
}

core::SwarmView Encounters::view() const {
  const std::lock_guard lock(mutex_);
  core::SwarmView view{.found = static_cast<std::uint32_t>(found_.size()),
                       .refused = refused_,
                       .last_refusal = last_};
  if (session_ == nullptr) return view;
  const core::PeerRules rules = session_->rules();
  view.serving = rules.serving;
  view.full = session_->is_full();
  for (const core::Address& address : found_) {
    if (core::peer_fault(rules, address) != nullptr) ++view.refused_by_rules;
  }
  return view;
}

}  // namespace lanward::peer
