#include "engine/jobs/spooling.h"

#include <utility>
#include <variant>

namespace lanward::jobs {
namespace {

// The bytes are all there is to tell it by: the same ones from anywhere are the same content.
core::Content content_of(const ports::Spool::Sum& sum, core::Sha256Fn sha256) {
  std::vector<std::byte> identity;
  for (const char c : std::string("lanward-bytes\n")) identity.push_back(std::byte(c));
  for (const std::uint8_t b : sum.sha256) identity.push_back(std::byte{b});
  return {.id = sha256(identity),
          .layout = core::PieceLayout(sum.size, core::canonical_piece_bytes(sum.size)),
          .piece_hashes = {}};
}

}  // namespace

Spooling::Spooling(const Ports& ports, OriginControl& control, Owner& owner, std::string url,
                   FetchSettings how, core::Seed seed)
    : ports_(ports),
      control_(control),
      owner_(owner),
      url_(std::move(url)),
      fetch_(how.policy, seed),
      timer_(ports.loop.make_timer([this] { on_fact(core::Tick{}); })) {
  auto facts = [this, &loop = ports_.loop, life = std::weak_ptr<char>(life_)](core::Event event) {
    loop.post([this, life, event = std::move(event)] {
      if (!life.expired()) on_fact(event);
    });
  };
  client_ = ports_.origins.connect(std::move(facts), std::move(how.origin));
  control_.join(*this);
  timer_->arm(ports_.loop.now());  // not from inside the constructor
}

Spooling::~Spooling() {
  life_.reset();
  control_.leave(*this);
  client_.reset();  // before the sink's spool
}

void Spooling::on_fact(const core::Event& event) {
  if (adopting_) return;
  fetch_.handle(event, ports_.loop.now());
  drive();
}

void Spooling::drive() {
  if (const auto request = fetch_.poll_request(ports_.loop.now())) ask(*request);
  asking_ = !fetch_.outcome() && !fetch_.next_wakeup();
  if (fetch_.outcome()) {
    if (*fetch_.outcome()) return adopt();
    // Of a failed write the cache knows more than the adapter.
    const auto sum = spool_ != nullptr ? spool_->sum() : Result<ports::Spool::Sum>{};
    return end(tl::unexpected(sum ? fetch_.outcome()->error() : sum.error()));
  }
  if (error_ != fetch_.waiting_for()) {
    error_ = fetch_.waiting_for();
    owner_.spooling_changed();
  }
  if (const auto at = fetch_.next_wakeup()) timer_->arm(*at);
}

void Spooling::ask(core::RequestId request) {
  if (spool_ == nullptr) {
    auto spool = ports_.store.spool();
    if (!spool) return end(tl::unexpected(spool.error()));
    spool_ = std::move(*spool);
  }
  client_->fetch_range(request,
                       {.url = url_,
                        .span = {},
                        .total = {},
                        .validator = {},
                        .whole_file = true,
                        .length_unknown = true},
                       spool_->restart());
}

void Spooling::adopt() {
  auto sum = spool_->sum();
  if (!sum) return end(tl::unexpected(sum.error()));
  adopting_ = true;
  core::Content content = content_of(*sum, ports_.sha256);
  ports_.store.adopt(spool_, content,
                     [this, &loop = ports_.loop, life = std::weak_ptr<char>(life_),
                      content](Result<void> adopted) mutable {
                       loop.post([this, life, content = std::move(content),
                                  adopted = std::move(adopted)]() mutable {
                         if (life.expired()) return;
                         // Another job has the same bytes open: they need not be brought twice.
                         const bool there = !adopted && adopted.error().code == ErrorCode::in_use;
                         if (adopted || there) return end(std::move(content));
                         end(tl::unexpected(adopted.error()));
                       });
                     });
}

void Spooling::end(Result<core::Content> outcome) {
  adopting_ = true;
  ports_.loop.post(
      [this, life = std::weak_ptr<char>(life_), outcome = std::move(outcome)]() mutable {
        if (!life.expired()) owner_.spooled(std::move(outcome));
      });
}

core::ByteCount Spooling::origin_bytes() const {
  return core::ByteCount{fetch_.received().value + fetch_.wasted().value};
}

SourceStats Spooling::source() const {
  return {.kind = SourceKind::origin,
          .name = url_,
          .received_bytes = origin_bytes().value,
          .wasted_bytes = fetch_.wasted().value};
}

}  // namespace lanward::jobs
