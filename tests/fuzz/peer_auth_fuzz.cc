// Arbitrary bytes as what a stranger says instead of proving that it is a member. It is never
// accepted; what members say to each other is.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "engine/core/peer_auth.h"
#include "engine/store/sha256.h"

namespace {

using namespace lanward::core;

void require(bool condition) {
  if (!condition) std::abort();
}

GroupKey key(std::uint8_t n) {
  GroupKey made{.id = n};
  made.secret.fill(n);
  return made;
}

PeerAuth end(bool dialled) {
  AuthChannel channel;
  channel.dialled = dialled;
  channel.own_id.fill(dialled ? 1 : 2);
  channel.their_id.fill(dialled ? 2 : 1);
  channel.own_member.fill(dialled ? 3 : 4);
  AuthNonce nonce{};
  nonce.fill(dialled ? 5 : 6);
  return {channel, {key(1), key(2)}, nonce, &lanward::store::sha256};
}

AuthMemberId member(std::uint8_t n) {
  AuthMemberId id{};
  id.fill(n);
  return id;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::uint8_t> said(data, size);
  PeerAuth dialler = end(true), other = end(false);
  const std::vector<std::uint8_t> hello = other.hello();
  // As a hello: only the very one of the other end counts, wherever its proofs stand.
  PeerAuth fooled = end(true);
  const auto answer = fooled.take_hello(said, member(4));
  require(answer.has_value() == (fooled.state() == PeerAuth::State::expects_confirmation));
  require(!fooled.accepted());
  if (answer) require(std::equal(hello.begin() + 1, hello.begin() + 17, said.begin() + 1));
  if (!answer) require(!fooled.why().empty());
  // As a confirmation.
  const auto from_dialler = dialler.take_hello(hello, member(4));
  const auto from_other = other.take_hello(dialler.hello(), member(3));
  require(from_dialler && from_other);
  const bool same = std::equal(said.begin(), said.end(), from_other->begin(), from_other->end());
  PeerAuth late = end(true);
  require(late.take_hello(hello, member(4)).has_value());
  require(late.take_confirmation(said) == same || late.key_id() == 2);
  require(dialler.take_confirmation(*from_other) && other.take_confirmation(*from_dialler));
  return 0;
}
