// Fetches one file from its origin and from peers on the local network:
//   example_fetch SOURCE DESTINATION CACHE_DIRECTORY
#include <lanward/engine.h>

#include <cstdio>
#include <semaphore>

namespace {

int give_up(const lanward::Error& error) {
  std::fprintf(stderr, "%s: %s\n", lanward::to_string(error.code), error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: example_fetch SOURCE DESTINATION CACHE\n"), 2;
  std::binary_semaphore ended{0};  // outlives the engine, whose thread calls back

  lanward::EngineOptions options;
  options.cache_directory = argv[3];
  auto engine = lanward::Engine::open(options);
  if (!engine) return give_up(engine.error());

  auto job = engine->create_job("example", [&ended](const lanward::JobEvent& event) {
    if (!event.state_changed) return;
    std::printf("%s\n", lanward::to_string(event.state));
    // Transient errors are not the end: the job retries by itself.
    if (event.state == lanward::JobState::transferred || event.state == lanward::JobState::error) {
      ended.release();
    }
  });
  if (!job) return give_up(job.error());

  lanward::FileRequest file;
  file.source = argv[1];
  file.destination = argv[2];
  if (auto added = job->add_file(file); !added) return give_up(added.error());
  if (auto started = job->resume(); !started) return give_up(started.error());
  ended.acquire();

  if (auto error = job->error(); error && *error) return give_up(**error);
  // Only now does the destination appear: complete, verified, in one step.
  if (auto delivered = job->complete(); !delivered) return give_up(delivered.error());
  return 0;
}
