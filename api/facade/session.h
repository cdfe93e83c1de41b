// What all objects of one manager share.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include <lanward/engine.h>

#include "api/facade/notifier.h"

namespace lanward::facade {

struct FileSlot;

// Files without a place to go to; as many as a job may have files.
inline constexpr std::size_t kUnplacedFilesMax = 200;

// Every object holds it; the engine ends with the last of them. Any thread.
class Session {
 public:
  // Peers may be asked; after delivery nothing is shared on.
  static constexpr DWORD kPeerFlags = BG_JOB_ENABLE_PEERCACHING_CLIENT;

  [[nodiscard]] static std::shared_ptr<Session> make(std::shared_ptr<Engine> engine);

  [[nodiscard]] Engine& engine() { return *engine_; }
  [[nodiscard]] Notifier& notifier() { return *notifier_; }

  // Of files that will be added.
  [[nodiscard]] DWORD peer_flags(const JobId& job) const;
  void set_peer_flags(const JobId& job, DWORD flags);

  // A file that was added without a place to go to. False: there are too many.
  [[nodiscard]] bool add_unplaced(const JobId& job, std::shared_ptr<FileSlot> file);
  // It has one now.
  void placed(const JobId& job, const FileSlot* file);
  [[nodiscard]] bool has_unplaced(const JobId& job) const;

  // The job is final.
  void forget(const JobId& job);

 private:
  // What the native interface does not keep with a job.
  struct Notes {
    DWORD peer_flags = kPeerFlags;
    std::vector<std::shared_ptr<FileSlot>> unplaced;
  };

  explicit Session(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  std::shared_ptr<Engine> engine_;
  mutable std::mutex mutex_;
  std::map<JobId, Notes> notes_;
  std::unique_ptr<Notifier> notifier_;  // ends first: its calls use the rest
};

}  // namespace lanward::facade
