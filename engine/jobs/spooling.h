// Fetches a file whose length its origin does not tell into the cache, where it becomes a content.
// Drives core::StreamFetch; decides nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/content.h"
#include "engine/core/events.h"
#include "engine/core/stream_fetch.h"
#include "engine/core/units.h"
#include "engine/jobs/origin_control.h"
#include "engine/jobs/ports.h"
#include "engine/ports/content_store.h"
#include "engine/ports/loop.h"
#include "engine/ports/origin.h"

namespace lanward::jobs {

// Loop thread only. Destroying it ends the requests and drops what has come.
class Spooling final : private OriginControl::User {
 public:
  // Not called from inside a call to the spooling; in `spooled` it may be destroyed.
  class Owner {
   public:
    virtual void spooling_changed() = 0;  // its error
    // The content is in the cache, every piece of it, or there will be none.
    virtual void spooled(Result<core::Content> content) = 0;
    [[nodiscard]] virtual bool is_foreground() const = 0;

   protected:
    ~Owner() = default;
  };

  Spooling(const Ports& ports, OriginControl& control, Owner& owner, std::string url,
           FetchSettings how, core::Seed seed);
  ~Spooling();
  Spooling(const Spooling&) = delete;
  Spooling& operator=(const Spooling&) = delete;

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] std::uint64_t received() const { return fetch_.received().value; }
  // What the origin has sent, with the tries that broke.
  [[nodiscard]] SourceStats source() const;
  [[nodiscard]] std::string response_headers() const { return client_->reply_headers(); }

 private:
  [[nodiscard]] bool is_foreground() const override { return owner_.is_foreground(); }
  [[nodiscard]] bool is_asking() const override { return asking_; }
  [[nodiscard]] core::ByteCount origin_bytes() const override;
  void limit_origins(core::ByteRate rate) override { client_->set_rate_limit(rate); }

  void on_fact(const core::Event& event);
  void drive();
  void ask(core::RequestId request);
  void adopt();
  void end(Result<core::Content> outcome);

  const Ports& ports_;
  OriginControl& control_;
  Owner& owner_;
  const std::string url_;
  core::StreamFetch fetch_;
  std::unique_ptr<ports::Timer> timer_;
  std::unique_ptr<ports::OriginClient> client_;
  std::shared_ptr<ports::Spool> spool_;
  std::optional<Error> error_;
  bool asking_ = false;
  bool adopting_ = false;
  // Lets late calls find out that this has ended.
  std::shared_ptr<char> life_ = std::make_shared<char>();
};

}  // namespace lanward::jobs
