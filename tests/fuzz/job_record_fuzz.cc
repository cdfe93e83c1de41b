// Arbitrary bytes as the record of a job. What is accepted keeps the bounds that its readers rely
// on and survives being written again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "engine/store/job_record.h"

namespace {

using namespace lanward;

void require(bool condition) {
  if (!condition) std::abort();
}

void require_sound(const ports::FileRecord& file) {
  require(file.request.destination.empty() || file.request.destination[0] == '/');
  require(file.request.destination.size() <= store::kRecordPathBytesMax);
  require(file.transferred || !file.completed);
  require(file.metainfo == nullptr);
  for (std::size_t i = 0; i < file.request.ranges.size(); ++i) {
    const ByteRange& range = file.request.ranges[i];
    require(range.length != 0);
    const bool last = i + 1 == file.request.ranges.size();
    require(range.length != ByteRange::kToEnd || last);
    require(last || range.offset + range.length <= file.request.ranges[i + 1].offset);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto record = store::decode({data, size});
  if (!record) {
    require(record.error().code == ErrorCode::state_damaged);
    require(!record.error().message.empty());
    return 0;
  }
  require(store::check(*record).has_value());
  require(record->error.has_value() == (record->state == JobState::error));
  require(record->files.size() <= store::kRecordFilesMax);
  for (const ports::FileRecord& file : record->files) require_sound(file);
  const std::string bytes = store::encode(*record);
  const auto again =
      store::decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  require(again.has_value());
  require(store::encode(*again) == bytes);
  return 0;
}
