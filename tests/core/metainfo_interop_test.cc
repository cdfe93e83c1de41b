// The same file through our writer and through libtorrent's: the documents must mean the same.
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <libtorrent/bencode.hpp>
#include <libtorrent/create_torrent.hpp>
#include <libtorrent/file_storage.hpp>
#include <libtorrent/torrent_info.hpp>

#include "tests/core/metainfo_samples.h"
#include "tests/support/temporary_directory.h"

namespace lanward::core {
namespace {

using samples::hex_of;

std::string hex_of(const lt::sha256_hash& hash) {
  Digest digest;
  std::copy_n(hash.begin(), digest.size(), reinterpret_cast<char*>(digest.data()));
  return samples::hex_of(digest);
}

// libtorrent's metainfo of a file of that name with these bytes.
std::vector<char> foreign_document(const std::string& name, std::span<const std::byte> bytes,
                                   std::uint32_t piece_bytes) {
  const support::TemporaryDirectory directory;
  std::ofstream(directory.path() + "/" + name, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  lt::file_storage files;
  files.add_file(name, static_cast<std::int64_t>(bytes.size()));
  lt::create_torrent torrent(files, static_cast<int>(piece_bytes), lt::create_torrent::v2_only);
  lt::set_piece_hashes(torrent, directory.path());
  std::vector<char> document;
  lt::bencode(std::back_inserter(document), torrent.generate());
  return document;
}

class Interop : public testing::TestWithParam<std::size_t> {};

TEST_P(Interop, LibtorrentReadsOurDocumentsAsTheSameTorrent) {
  const auto bytes = samples::random_bytes(GetParam());
  const std::uint32_t piece_bytes = canonical_piece_bytes(ByteCount{bytes.size()});
  const Content content = samples::content_of(bytes, piece_bytes);
  const auto document =
      write_metainfo({content, "Name.iso", {"http://a/x"}, {"http://t/a", "udp://t:1"}});
  lt::error_code error;
  const lt::torrent_info theirs({reinterpret_cast<const char*>(document.data()),
                                 static_cast<std::ptrdiff_t>(document.size())},
                                error, lt::from_span);
  ASSERT_FALSE(error) << error.message();
  const auto ours = samples::parse(document);
  ASSERT_TRUE(ours);
  EXPECT_EQ(hex_of(theirs.info_hashes().v2), hex_of(ours->infohash));
  EXPECT_FALSE(theirs.info_hashes().has_v1());
  EXPECT_EQ(theirs.name(), hex_of(content.id));
  EXPECT_EQ(theirs.files().file_size(lt::file_index_t{0}), std::int64_t(bytes.size()));
  EXPECT_EQ(theirs.trackers().size(), 2U);
  EXPECT_EQ(theirs.web_seeds().size(), 1U);
  EXPECT_EQ(hex_of(theirs.files().root(lt::file_index_t{0})), hex_of(content.id));
}

TEST_P(Interop, LibtorrentMakesTheSameInfoDictionaryOfTheSameFile) {
  const auto bytes = samples::random_bytes(GetParam());
  const std::uint32_t piece_bytes = canonical_piece_bytes(ByteCount{bytes.size()});
  const Content content = samples::content_of(bytes, piece_bytes);
  const auto ours = samples::parse(write_metainfo({content, "", {}, {}}));
  const auto document = foreign_document(hex_of(content.id), bytes, piece_bytes);
  const auto theirs = samples::parse(
      std::span(reinterpret_cast<const std::uint8_t*>(document.data()), document.size()));
  ASSERT_TRUE(ours);
  ASSERT_TRUE(theirs) << theirs.error().message;
  EXPECT_EQ(hex_of(theirs->infohash), hex_of(ours->infohash));
  EXPECT_EQ(theirs->content.piece_hashes, content.piece_hashes);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Interop,
                         testing::Values(1, 16384, 16385, 100'000, 262'144, 262'145, 1'000'003,
                                         5'000'000),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace lanward::core
