// A piece cache made of maps: it counts bytes instead of keeping them, and calls a piece good
// unless the test says otherwise.
#pragma once

#include <algorithm>
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
  [[nodiscard]] Result<void> read(core::PieceIndex, std::uint32_t, std::span<std::byte>,
                                  bool) override {
    return fail(ErrorCode::invalid_state, "the fake keeps no bytes");
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
  void run_on_worker(ports::Task task) override { task(); }

  // Pieces that turn out bad as often as the number says.
  std::map<std::uint32_t, int> bad_pieces;

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

  friend class FakeStore;
};

class FakeStore final : public ports::PieceStore {
 public:
  void open(const core::Content& content, ports::FactSink facts, Opened done) override {
    ++opens;
    if (open_error) return done(tl::unexpected(*open_error));
    auto opened = std::make_shared<FakeContent>(content, std::move(facts));
    if (const auto kept = pieces.find(content.id); kept != pieces.end()) {
      opened->verified_ = kept->second;
    }
    opened->bad_pieces = bad_pieces;
    ids_[opened.get()] = content.id;
    latest = opened;
    done(std::shared_ptr<ports::ContentStore>(opened));
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
    const auto& [destination, how, parts, ticket] = order;
    if (ticket != nullptr && !ticket->use()) {
      return done(fail(ErrorCode::cancelled, "not wanted any more"));
    }
    if (deliver_error) return done(tl::unexpected(*deliver_error));
    if (destination == refused_destination) {
      return done(fail(ErrorCode::destination, "the fake refuses " + destination));
    }
    delivered[destination] = how;
    delivered_parts[destination] = parts;
    if (how == ports::Delivery::consume) pieces.erase(ids_.at(content.get()));
    if (how == ports::Delivery::share) given_away_.insert(content.get());
    done({});
  }
  void close(const std::shared_ptr<ports::ContentStore>& content, Done done) override {
    ++closes;
    pieces[ids_.at(content.get())] = content->verified();
    if (given_away_.contains(content.get())) pieces.erase(ids_.at(content.get()));
    done({});
  }
  void purge(const std::shared_ptr<ports::ContentStore>& content, Done done) override {
    ++purges;
    pieces.erase(ids_.at(content.get()));
    done({});
  }
  void sweep(std::string destination, const core::Digest&, Done done) override {
    swept.push_back(std::move(destination));
    done({});
  }
  void forget(const core::Digest& id, Done done) override {
    ++forgets;
    pieces.erase(id);
    done({});
  }

  bool hold_delivery = false;  // the next one waits for held()
  ports::Task held;
  int opens = 0;
  int closes = 0;
  int purges = 0;
  int forgets = 0;
  std::optional<Error> open_error;
  std::optional<Error> deliver_error;
  std::string refused_destination;
  std::map<std::uint32_t, int> bad_pieces;
  std::map<std::string, ports::Delivery> delivered;
  std::map<std::string, std::vector<core::ByteSpan>> delivered_parts;
  std::vector<std::string> swept;
  std::map<core::Digest, core::PieceSet> pieces;  // what is in the cache while nobody has it open
  std::shared_ptr<FakeContent> latest;

 private:
  std::map<const ports::ContentStore*, core::Digest> ids_;
  std::set<const ports::ContentStore*> given_away_;  // forgotten when they are closed
};

}  // namespace lanward::testing
