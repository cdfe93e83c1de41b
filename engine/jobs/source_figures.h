// Figures of sources, added up over the downloads of a file.
#pragma once

#include <vector>

#include <lanward/types.h>

namespace lanward::jobs {

// The entry of the source of this kind and name, which is made if there is none.
SourceStats& entry_of(std::vector<SourceStats>& list, const SourceStats& like);

// Adds what `now` has beyond `before`. A download that was made anew has less.
void add_difference(std::vector<SourceStats>& sum, const std::vector<SourceStats>& now,
                    std::vector<SourceStats> before);

// Adds what the source gave and got, by what kind of source it is.
void add_source(SwarmStats& stats, const SourceStats& source);

}  // namespace lanward::jobs
