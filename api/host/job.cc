#include <lanward/job.h>

#include <algorithm>
#include <future>
#include <iterator>
#include <utility>

#include "api/host/engine_impl.h"
#include "api/host/file_request.h"
#include "engine/ports/content_store.h"

namespace lanward {
namespace {

tl::unexpected<Error> engine_closed() {
  return fail(ErrorCode::invalid_state, "the engine is closed");
}

template <class F>
auto on_job(const std::weak_ptr<host::EngineImpl>& weak, const JobId& id, F f)
    -> std::invoke_result_t<F, jobs::Job&> {
  const std::shared_ptr<host::EngineImpl> engine = weak.lock();
  if (engine == nullptr) return engine_closed();
  return engine->with_job(id, std::move(f));
}

// A call that is over when what it changes is durable.
Result<void> await_job(const std::weak_ptr<host::EngineImpl>& weak, const JobId& id,
                       ports::MoveFunction<void(jobs::Job&, jobs::Job::Done)> f) {
  const std::shared_ptr<host::EngineImpl> engine = weak.lock();
  if (engine == nullptr) return engine_closed();
  return engine->await_job(id, std::move(f));
}

tl::unexpected<Error> no_file(FileId file) {
  return fail(ErrorCode::file_unavailable, "the job has no file " + std::to_string(file.value));
}

Result<const jobs::Transfer*> find_file(const jobs::Job& job, FileId id) {
  const jobs::Transfer* file = job.file(id);
  if (file == nullptr) return no_file(id);
  return file;
}

}  // namespace

Job::Job(std::weak_ptr<host::EngineImpl> engine, JobId id) : engine_(std::move(engine)), id_(id) {}

JobId Job::id() const { return id_; }

Result<FileId> Job::add_file(const FileRequest& file) {
  const auto engine = engine_.lock();
  if (engine == nullptr) return engine_closed();
  auto specs = host::resolve_all(file, engine->peers_enabled());
  if (!specs) return tl::unexpected(specs.error());
  FileId id;
  auto added = engine->await_job(id_, [&](jobs::Job& job, jobs::Job::Done done) {
    const auto count = static_cast<std::uint32_t>(specs->size());
    job.add_files(std::move(*specs),
                  [&id, &job, count, done = std::move(done)](Result<void> result) mutable {
                    if (result) id = FileId{job.file_count() - count};
                    done(std::move(result));
                  });
  });
  if (!added) return tl::unexpected(added.error());
  return id;
}

Result<void> Job::add_files(const std::vector<FileRequest>& files) {
  const auto engine = engine_.lock();
  if (engine == nullptr) return engine_closed();
  std::vector<jobs::FileSpec> specs;
  for (const FileRequest& file : files) {
    auto resolved = host::resolve_all(file, engine->peers_enabled());
    if (!resolved) return tl::unexpected(resolved.error());
    std::move(resolved->begin(), resolved->end(), std::back_inserter(specs));
  }
  return engine->await_job(id_, [&](jobs::Job& job, jobs::Job::Done done) {
    job.add_files(std::move(specs), std::move(done));
  });
}

Result<void> Job::resume() {
  return await_job(engine_, id_,
                   [](jobs::Job& job, jobs::Job::Done done) { job.resume(std::move(done)); });
}

Result<void> Job::suspend() {
  return await_job(engine_, id_,
                   [](jobs::Job& job, jobs::Job::Done done) { job.suspend(std::move(done)); });
}

Result<void> Job::cancel() {
  return await_job(engine_, id_,
                   [](jobs::Job& job, jobs::Job::Done done) { job.cancel(std::move(done)); });
}

Result<void> Job::complete() {
  return await_job(engine_, id_,
                   [](jobs::Job& job, jobs::Job::Done done) { job.complete(std::move(done)); });
}

Result<void> Job::change(const JobChange& change) {
  return await_job(engine_, id_, [&](jobs::Job& job, jobs::Job::Done done) {
    job.change(change, std::move(done));
  });
}

Result<void> Job::set_remote_name(FileId file, const std::string& url) {
  if (auto ok = host::check_remote_name(url); !ok) return ok;
  return await_job(engine_, id_, [&](jobs::Job& job, jobs::Job::Done done) {
    job.set_remote_name(file, url, std::move(done));
  });
}

Result<void> Job::set_callback(JobCallback callback) {
  return on_job(engine_, id_, [&](jobs::Job& job) -> Result<void> {
    job.set_callback(std::move(callback));
    return {};
  });
}

Result<JobStatus> Job::status() const {
  return on_job(engine_, id_, [](jobs::Job& job) -> Result<JobStatus> { return job.status(); });
}

Result<JobState> Job::state() const {
  return on_job(engine_, id_, [](jobs::Job& job) -> Result<JobState> { return job.state(); });
}

Result<Progress> Job::progress() const {
  return on_job(engine_, id_, [](jobs::Job& job) -> Result<Progress> { return job.progress(); });
}

Result<std::vector<FileStatus>> Job::files() const {
  return on_job(engine_, id_,
                [](jobs::Job& job) -> Result<std::vector<FileStatus>> { return job.files(); });
}

Result<std::vector<SourceStats>> Job::sources() const {
  return on_job(engine_, id_,
                [](jobs::Job& job) -> Result<std::vector<SourceStats>> { return job.sources(); });
}

Result<std::optional<JobError>> Job::error() const {
  return on_job(engine_, id_,
                [](jobs::Job& job) -> Result<std::optional<JobError>> { return job.error(); });
}

Result<SwarmStats> Job::swarm_stats(FileId file) const {
  return on_job(engine_, id_, [&](jobs::Job& job) -> Result<SwarmStats> {
    const auto found = find_file(job, file);
    if (!found) return tl::unexpected(found.error());
    return (*found)->swarm_stats();
  });
}

Result<std::string> Job::response_headers(FileId file) const {
  return on_job(engine_, id_, [&](jobs::Job& job) -> Result<std::string> {
    const auto found = find_file(job, file);
    if (!found) return tl::unexpected(found.error());
    return (*found)->response_headers();
  });
}

Result<std::size_t> Job::read(FileId file, std::uint64_t offset, std::span<std::byte> out) const {
  struct Open {
    std::shared_ptr<ports::ContentStore> store;
    core::PieceLayout layout;
  };
  const auto open = on_job(engine_, id_, [&](jobs::Job& job) -> Result<Open> {
    const auto found = find_file(job, file);
    if (!found) return tl::unexpected(found.error());
    Open content{(*found)->store(), (*found)->layout()};
    if (content.store == nullptr) {
      return fail(ErrorCode::invalid_state, (*found)->spec().source + " is not in use");
    }
    return content;
  });
  if (!open) return tl::unexpected(open.error());
  // On the caller's thread: the disk may be slow.
  const core::PieceLayout& layout = open->layout;
  const core::PieceSet verified = open->store->verified();
  std::size_t done = 0;
  while (done < out.size() && offset + done < layout.size().value) {
    const core::PieceIndex piece = layout.piece_at(offset + done);
    if (!verified.contains(piece)) break;
    const auto in_piece = static_cast<std::uint32_t>(offset + done - layout.bytes(piece).begin);
    const std::size_t part =
        std::min<std::size_t>(out.size() - done, layout.size_of(piece) - in_piece);
    if (auto read = open->store->read(piece, in_piece, out.subspan(done, part), false); !read) {
      return tl::unexpected(read.error());
    }
    done += part;
  }
  return done;
}

}  // namespace lanward
