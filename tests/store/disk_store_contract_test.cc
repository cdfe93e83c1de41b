#include "engine/store/disk_store.h"
#include "tests/contract/content_store_contract.h"
#include "tests/support/temporary_directory.h"

namespace lanward::test {
namespace {

class DiskStoreUnderTest final : public StoreUnderTest {
 public:
  DiskStoreUnderTest() { start(); }
  ports::PieceStore& store() override { return *store_; }
  void restart() override {
    store_.reset();
    start();
  }

 private:
  void start() {
    store::DiskStoreOptions options;
    options.directory = dir_.path("cache");
    store_ = store::DiskStore::open(options).value();
  }

  support::TemporaryDirectory dir_;
  std::unique_ptr<store::DiskStore> store_;
};

std::unique_ptr<StoreUnderTest> make_disk_store() { return std::make_unique<DiskStoreUnderTest>(); }

INSTANTIATE_TEST_SUITE_P(DiskStore, ContentStoreContract, testing::Values(&make_disk_store));

}  // namespace
}  // namespace lanward::test
