// A piece cache made of maps: it counts bytes instead of keeping them, and calls a piece good
// unless the test says otherwise. What is read is zeros, as FakeOrigins serves them.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/ports/content_store.h"

namespace lanward::testing {

class FakeContent final : public ports::ContentStore {
 public:
  FakeContent(const core::Content& content, ports::FactSink facts)
      : layout_(content.layout), verified_(layout_.piece_count()), facts_(std::move(facts)) {}

  [[nodiscard]] std::unique_ptr<ports::RangeSink> open_range(core::SourceId source,
                                                             core::ByteSpan span,
                                                             ports::Task) override {
    return std::make_unique<Sink>(*this, source, span.begin);
  }
  [[nodiscard]] bool write_block(core::PieceIndex piece, std::uint32_t offset,
                                 std::span<const std::byte> bytes, core::SourceId source,
                                 ports::MoveFunction<void(Result<void>)> done,
                                 ports::Task) override {
    take(layout_.bytes(piece).begin + offset, bytes.size(), source);
    done({});
    return true;
  }
  [[nodiscard]] Result<void> read(core::PieceIndex piece, std::uint32_t, std::span<std::byte> out,
                                  bool) override {
    if (!verified_.contains(piece)) return fail(ErrorCode::invalid_state, "not verified");
    std::fill(out.begin(), out.end(), std::byte{0});
    return {};
  }
  void block_hashes(core::PieceIndex,
                    ports::MoveFunction<void(Result<std::vector<core::Digest>>)> done) override {
    done(fail(ErrorCode::invalid_state, "the fake keeps no bytes"));
  }
  [[nodiscard]] core::PieceSet verified() const override { return verified_; }
  [[nodiscard]] std::vector<ports::SourceLedger> ledger() const override {
    std::vector<ports::SourceLedger> list;
    for (const auto& [id, entry] : ledger_) list.push_back(entry);
    return list;
  }
  [[nodiscard]] bool may_share() const override { return shared_; }
  void share() override {
    shared_ = true;
    if (on_share) on_share();
  }
  void run_on_worker(ports::Task task) override {
    if (!hold_work) return task();
    work.push_back(std::move(task));
  }

  // Pieces that turn out bad as often as the number says.
  std::map<std::uint32_t, int> bad_pieces;
  std::set<std::uint32_t> lost_pieces;  // never judged
  bool hold_work = false;               // what is to run on a worker waits in `work`
  std::deque<ports::Task> work;
  std::function<void()> on_share;

 private:
  struct Begun {
    std::uint64_t bytes = 0;
    std::set<core::SourceId> from;
  };
  class Sink final : public ports::RangeSink {
   public:
    Sink(FakeContent& content, core::SourceId source, std::uint64_t at)
        : content_(content), source_(source), at_(at) {}
    [[nodiscard]] Accept accept(std::span<const std::byte> bytes) override {
      content_.take(at_, bytes.size(), source_);
      at_ += bytes.size();
      return Accept::taken;
    }
    void finish() override {}

   private:
    FakeContent& content_;
    core::SourceId source_;
    std::uint64_t at_;
  };

  void take(std::uint64_t at, std::uint64_t size, core::SourceId source) {
    ports::SourceLedger& entry = ledger_[source];
    entry.source = source;
    entry.received += core::ByteCount{size};
    while (size > 0) {
      const core::PieceIndex piece = layout_.piece_at(at);
      const std::uint64_t part = std::min(size, layout_.bytes(piece).end - at);
      if (verified_.contains(piece)) {
        entry.wasted += core::ByteCount{part};
      } else {
        Begun& begun = begun_[piece];
        begun.bytes += part;
        begun.from.insert(source);
        if (begun.bytes == layout_.size_of(piece)) judge(piece, begun);
      }
      at += part;
      size -= part;
    }
  }
  void judge(core::PieceIndex piece, const Begun& begun) {
    const std::vector<core::SourceId> from(begun.from.begin(), begun.from.end());
    begun_.erase(piece);
    if (lost_pieces.contains(piece.value)) return;
    if (bad_pieces[piece.value]-- > 0) return facts_(core::PieceFailed{piece, from});
    verified_.insert(piece);
    ledger_[from.front()].useful += core::ByteCount{layout_.size_of(piece)};
    facts_(core::PieceVerified{piece, from});
  }

  core::PieceLayout layout_;
  core::PieceSet verified_;
  ports::FactSink facts_;
  std::map<core::PieceIndex, Begun> begun_;
  std::map<core::SourceId, ports::SourceLedger> ledger_;

  bool shared_ = false;

  friend class FakeStore;
};

class FakeStore final : public ports::PieceStore {
 public:
  FakeStore() = default;
  // Work that is still held refers to its content, which holds it.
  ~FakeStore() override {
    for (const auto& made : contents_) {
      if (const auto content = made.lock()) content->work.clear();
    }
  }

  void open(const core::Content& content, ports::FactSink facts, Opened done) override {
    ++opens;
    if (open_error) return done(tl::unexpected(*open_error));
    if (!open_contents.insert(content.id).second) {
      ++misuses;
      return done(fail(ErrorCode::in_use, "the content is open"));
    }
    auto opened = std::make_shared<FakeContent>(content, std::move(facts));
    if (const auto kept = pieces.find(content.id); kept != pieces.end()) {
      opened->verified_ = kept->second;
    }
    opened->bad_pieces = bad_pieces;
    opened->lost_pieces = lost_pieces;
    opened->hold_work = hold_work;
    opened->shared_ = shared.contains(content.id);
    opened->on_share = [this, id = content.id] { shared.insert(id); };
    ids_[opened.get()] = content.id;
    latest = opened;
    contents_.push_back(opened);
    answer([opened, done = std::move(done)]() mutable {
      done(std::shared_ptr<ports::ContentStore>(opened));
    });
  }
  void open_with(const core::Content& content, ports::OpenHints given, ports::FactSink facts,
                 Opened done) override {
    hints = std::move(given);
    if (hints.share) shared.insert(content.id);
    open(content, std::move(facts), std::move(done));
  }
  void list_lendable(std::size_t max, std::set<core::Digest> skip,
                     ports::MoveFunction<void(std::vector<core::Manifest>)> done) override {
    std::vector<core::Manifest> list;
    for (const core::Manifest& manifest : lendable) {
      const core::Digest& id = manifest.content.id;
      if (!skip.contains(id) && !open_contents.contains(id) && list.size() < max) {
        list.push_back(manifest);
      }
    }
    done(std::move(list));
  }
  void lend(const core::Content& content, ports::FactSink facts, Opened done) override {
    lent_facts[content.id] = facts;
    open(content, std::move(facts), std::move(done));
  }
  void deliver(const std::shared_ptr<ports::ContentStore>& content, ports::DeliveryOrder order,
               Done done) override {
    if (hold_delivery) {
      held = [this, content, order, done = std::move(done)]() mutable {
        hold_delivery = false;
        deliver(content, std::move(order), std::move(done));
      };
      return;
    }
    answer([done = std::move(done), result = deliver_now(content, order)]() mutable {
      done(std::move(result));
    });
  }
  void close(const std::shared_ptr<ports::ContentStore>& content, Done done) override {
    ++closes;
    if (is_open(content)) {
      const core::Digest& id = ids_.at(content.get());
      pieces[id] = content->verified();
      if (given_away_.contains(content.get())) pieces.erase(id);
    }
    answer([this, content, done = std::move(done)]() mutable {
      end(content);
      done({});
    });
  }
  void purge(const std::shared_ptr<ports::ContentStore>& content, Done done) override {
    ++purges;
    if (is_open(content)) {
      pieces.erase(ids_.at(content.get()));
      shared.erase(ids_.at(content.get()));
    }
    answer([this, content, done = std::move(done)]() mutable {
      end(content);
      done({});
    });
  }
  void sweep(std::string destination, const core::Digest&, Done done) override {
    swept.push_back(std::move(destination));
    answer([done = std::move(done)]() mutable { done({}); });
  }
  void forget(const core::Digest& id, Done done) override {
    ++forgets;
    if (!open_contents.insert(id).second) {
      ++misuses;
      return done(fail(ErrorCode::in_use, "the content is open"));
    }
    pieces.erase(id);
    shared.erase(id);
    answer([this, id, done = std::move(done)]() mutable {
      open_contents.erase(id);
      done({});
    });
  }

  // Lets the oldest answer out that `hold` keeps back. False: there is none.
  bool release_one() {
    if (held_answers_.empty()) return false;
    ports::Task next = std::move(held_answers_.front());
    held_answers_.pop_front();
    next();
    return true;
  }
  // The process has died: nobody has anything open, and no answer comes any more. What was verified
  // in an open content is found again.
  void crash() {
    held_answers_.clear();
    held = {};
    hold_delivery = false;
    ids_.clear();
    open_contents.clear();
    given_away_.clear();
  }

  bool hold_work = false;      // of contents opened from now on
  bool hold = false;           // what is done is answered by release_one()
  bool hold_delivery = false;  // the next one waits for held()
  ports::Task held;
  int opens = 0;
  int closes = 0;
  int purges = 0;
  int forgets = 0;
  int misuses = 0;  // calls that the contract does not allow
  std::optional<Error> open_error;
  std::optional<Error> deliver_error;
  std::string refused_destination;
  std::map<std::uint32_t, int> bad_pieces;
  std::set<std::uint32_t> lost_pieces;
  std::map<std::string, ports::Delivery> delivered;
  std::map<std::string, std::vector<core::ByteSpan>> delivered_parts;
  std::map<std::string, std::optional<std::uint32_t>> delivered_owners;
  std::vector<std::string> swept;
  std::map<core::Digest, core::PieceSet> pieces;  // what is in the cache while nobody has it open
  std::set<core::Digest> shared;                  // may be given to peers
  ports::OpenHints hints;                         // of the latest opening
  std::set<core::Digest> open_contents;
  std::shared_ptr<FakeContent> latest;
  std::vector<core::Manifest> lendable;                // what the cache has, also of what is open
  std::map<core::Digest, ports::FactSink> lent_facts;  // of the latest loan of each

 private:
  void answer(ports::Task task) {
    if (!hold) return task();
    held_answers_.push_back(std::move(task));
  }
  [[nodiscard]] bool is_open(const std::shared_ptr<ports::ContentStore>& content) const {
    const auto it = ids_.find(content.get());
    return it != ids_.end() && open_contents.contains(it->second);
  }
  void end(const std::shared_ptr<ports::ContentStore>& content) {
    if (!is_open(content)) return;
    open_contents.erase(ids_.at(content.get()));
    ids_.erase(content.get());
  }
  [[nodiscard]] Result<void> deliver_now(const std::shared_ptr<ports::ContentStore>& content,
                                         const ports::DeliveryOrder& order) {
    const auto& [destination, how, parts, ticket, owner] = order;
    if (!is_open(content)) {
      ++misuses;
      return fail(ErrorCode::invalid_state, "the content is closed");
    }
    const auto& mine = static_cast<const FakeContent&>(*content);
    if (ports::missing_pieces(mine.verified_, mine.layout_, parts) > 0) {
      ++misuses;
      return fail(ErrorCode::invalid_state, "pieces are missing");
    }
    if (deliver_error) return tl::unexpected(*deliver_error);
    if (destination == refused_destination) {
      return fail(ErrorCode::destination, "the fake refuses " + destination);
    }
    if (ticket != nullptr && !ticket->use()) {
      return fail(ErrorCode::cancelled, "not wanted any more");
    }
    delivered[destination] = how;
    delivered_parts[destination] = parts;
    delivered_owners[destination] = owner;
    if (how == ports::Delivery::share) given_away_.insert(content.get());
    if (how == ports::Delivery::consume) {
      pieces.erase(ids_.at(content.get()));
      end(content);
    }
    return {};
  }

  std::map<const ports::ContentStore*, core::Digest> ids_;  // of the open ones
  std::set<const ports::ContentStore*> given_away_;         // forgotten when they are closed
  std::deque<ports::Task> held_answers_;
  std::vector<std::weak_ptr<FakeContent>> contents_;  // every one that was opened
};

}  // namespace lanward::testing
