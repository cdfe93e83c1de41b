// A file whose length its origin does not tell: fetched in one go, and known when it is all there.
#include <utility>

#include "engine/jobs/source_figures.h"
#include "engine/jobs/transfer.h"

namespace lanward::jobs {

void Transfer::begin_spooling(core::SearchResult result) {
  note_ = result.note +
          "; the server does not tell the length: one request for the whole, from the start again "
          "when it breaks";
  found_ = std::move(result);
  Spooling::Owner& owner = *this;
  spooling_ =
      std::make_unique<Spooling>(ports_, control_, owner, found_->probed_url,
                                 FetchSettings{.origin = origin_, .policy = policy_}, seed_);
  step_ = Step::spooling;
  if (transferring_since_ == core::Instant{}) transferring_since_ = ports_.loop.now();
  changed();
}

void Transfer::spooling_changed() {
  error_ = spooling_->error();
  changed();
}

void Transfer::spooled(Result<core::Content> content) {
  if (!content) return fail_with(content.error());
  end_spooling();
  error_.reset();
  spooled_ = true;
  core::SearchResult result = *std::exchange(found_, std::nullopt);
  result.content = std::move(*content);
  result.note = note_;
  settle(std::move(result));
}

void Transfer::end_spooling() {
  if (spooling_ == nullptr) return;
  add_difference(former_, {spooling_->source()}, {});
  headers_ = spooling_->response_headers();
  spooling_.reset();
}

}  // namespace lanward::jobs
