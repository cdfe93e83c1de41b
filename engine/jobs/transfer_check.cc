// What a file rests on besides its pieces: digests of the whole, and the Metalink that names them.
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "engine/jobs/metalink_files.h"
#include "engine/jobs/transfer.h"

namespace lanward::jobs {
namespace {

// A file that is fetched once more from each of its mirrors costs as many times its size: after so
// many the origins have had their chance.
constexpr std::size_t kAloneMax = 4;

// What another origin may do better.
bool is_of_the_origin(ErrorCode code) {
  return code == ErrorCode::integrity || code == ErrorCode::network ||
         code == ErrorCode::origin_rejected || code == ErrorCode::content_changed;
}

}  // namespace

void Transfer::rest_on(const std::optional<core::ExpectedDigest>& digest) {
  digest_ = spec_.ranges.empty() ? digest : std::nullopt;
  if (!spec_.ranges.empty() && !spec_.digests.empty() && note_.empty()) {
    note_ = "the digest that was demanded is one of the whole file and is not checked for ranges";
  }
  if (digest_ && integrity_ == Integrity::transport) integrity_ = Integrity::digest;
}

bool Transfer::must_match() const { return digest_ && !matched_; }

void Transfer::begin_check() {
  if (check_ != nullptr || download_->store() == nullptr) return;
  auto hasher = ports_.hasher != nullptr ? ports_.hasher(digest_->algorithm) : nullptr;
  if (hasher == nullptr) {
    return fail_with({ErrorCode::unsupported, spec_.source + ": the file cannot be checked: " +
                                                  core::to_string(digest_->algorithm) +
                                                  " is not available on this system"});
  }
  check_ = std::make_unique<FileCheck>(ports_.loop, download_->store(), content_.layout,
                                       std::move(hasher),
                                       [this](Result<std::vector<std::uint8_t>> found) {
                                         check_.reset();
                                         if (!found) return fail_with(found.error());
                                         end_check(*found);
                                       });
}

void Transfer::end_check(const std::vector<std::uint8_t>& found) {
  if (found == digest_->bytes) {
    matched_ = true;
    if (alone_) {
      note_ += "; together the origins sent another file, " + alone_->back().url +
               " alone sent the right one";
    }
    return download_changed();
  }
  Error error = core::digest_mismatch(spec_.source, *digest_, found);
  if (named_by_bytes_) {
    // Others may want just these bytes.
    error_ = std::move(error);
    check_.reset();
    run_.reset();
    release();
    return leave(Step::failed, true, [] {});
  }
  if (!spec_.manifest) return download_->reject(std::move(error));
  // The pieces are what the manifest says: to fetch them again would change nothing.
  error.message += "; the manifest describes another file than the digest";
  fail_with(std::move(error));
}

void Transfer::download_failed(Error error) {
  if (digest_ && !spec_.manifest && try_alone(error)) return;
  fail_with(mismatch_ ? *mismatch_ : std::move(error));
}

// What several origins sent together may be the fault of one: each is tried alone, those first that
// had the smallest part in it.
bool Transfer::try_alone(const Error& error) {
  if (!alone_) {
    if (error.code != ErrorCode::integrity || origins_.size() < 2) return false;
    std::map<std::string, std::uint64_t> received;
    for (const SourceStats& source : sources()) received[source.name] += source.received_bytes;
    alone_ = origins_;
    std::stable_sort(alone_->begin(), alone_->end(), [&](const auto& a, const auto& b) {
      return received[a.url] < received[b.url];
    });
    alone_->resize(std::min(alone_->size(), kAloneMax));
    std::reverse(alone_->begin(), alone_->end());
    mismatch_ = error;
  } else {
    if (!is_of_the_origin(error.code) || alone_->size() < 2) return false;
    alone_->pop_back();
  }
  check_.reset();
  leave(Step::rejoining, false, [this] {
    // Not before the other holders of the content have left the failed download too.
    on_loop([this] {
      if (step_ == Step::rejoining) join_download();
    })();
  });
  return true;
}

// ---- Metalink ----------------------------------------------------------------------------------

void Transfer::expand(const core::Metalink& metalink) {
  FileSpec request = spec_;
  // A server may call any URL a Metalink.
  if (request.metalink_url.empty()) request.source = spec_.source;
  auto files = files_of(metalink, request);
  if (!files) return fail_with(files.error());
  expansion_ = std::move(*files);
  changed();
}

void Transfer::replace(FileSpec spec, const FetchSettings& how) {
  const bool started = step_ == Step::searching;
  spec.job = spec_.job;
  spec.owner = spec_.owner;
  spec_ = std::move(spec);
  rest_on(core::choose_digest(spec_.digests).digest);
  if (!started) return;
  step_ = Step::idle;
  start(how);
}

void Transfer::refuse(Error error) {
  if (step_ == Step::searching) fail_with(std::move(error));
}

}  // namespace lanward::jobs
