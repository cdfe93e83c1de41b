// The store in memory that other tests use keeps the contract of those that ship.
#include "tests/contract/content_store_contract.h"
#include "tests/support/memory_store.h"

namespace lanward::test {
namespace {

class MemoryStoreUnderTest final : public StoreUnderTest {
 public:
  ports::PieceStore& store() override { return store_; }
  void restart() override { store_.restart(); }

 private:
  MemoryPieceStore store_;
};

std::unique_ptr<StoreUnderTest> make_memory_store() {
  return std::make_unique<MemoryStoreUnderTest>();
}

INSTANTIATE_TEST_SUITE_P(MemoryStore, ContentStoreContract, testing::Values(&make_memory_store));

}  // namespace
}  // namespace lanward::test
