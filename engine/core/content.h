// What a file is, independent of where it comes from: identity, layout, and the hashes that every
// byte must answer to.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/piece_layout.h"
#include "engine/core/units.h"

namespace lanward::core {

using Digest = std::array<std::uint8_t, 32>;

struct Content {
  // Names the content in the piece cache: the BEP 52 pieces root of the file; without a manifest a
  // hash of URL, size and validator, so that another version of the file is another content.
  Digest id{};
  PieceLayout layout;
  // One hash per piece (the piece layer; for a file of one piece the pieces root). Empty: there is
  // no manifest, and a piece counts as soon as its bytes are on disk.
  std::vector<Digest> piece_hashes;

  [[nodiscard]] bool verifiable() const {
    return !piece_hashes.empty() || layout.piece_count() == 0;
  }
};

// A parsed and validated BEP 52 metainfo of one file.
struct Manifest {
  Content content;
  Digest infohash{};  // SHA-256 of the info dictionary
  std::string name;   // a plain file name, safe to create; may be empty
  std::vector<std::string> web_seeds;
  std::vector<std::string> trackers;
  std::vector<std::uint8_t> metainfo;  // the document itself, as it was read
  // lanward.share: peers may have the file even if its source asks for credentials.
  bool share_private = false;
  // info.private (BEP 27): its peers come from trackers and from people, never from the network.
  bool tracker_only = false;
};

}  // namespace lanward::core
