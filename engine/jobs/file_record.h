// Between the file as a job works on it and the file as the journal keeps it.
#pragma once

#include <string>

#include <lanward/error.h>

#include "engine/core/merkle.h"
#include "engine/jobs/ports.h"
#include "engine/ports/journal.h"

namespace lanward::jobs {

// Another URL takes the place of the source.
void rename_source(FileSpec& spec, const std::string& url);

[[nodiscard]] ports::FileRecord to_record(const FileSpec& spec);
// Errors: manifest_invalid for a document that is no manifest.
[[nodiscard]] Result<FileSpec> to_spec(const ports::FileRecord& record, core::Sha256Fn sha256);

}  // namespace lanward::jobs
