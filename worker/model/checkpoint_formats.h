// The two kinds of checkpoint, for Checkpoint::Open.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/model/checkpoint.h"
#include "worker/model/mapped_file.h"

namespace uaqf::model {

// `file` of `folder` is a GGUF file.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenGguf(const Folder& folder, const std::string& file,
                                                     const std::string& path);

// `folder` is a Hugging Face folder; `name` is the model's.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenHuggingFace(Folder folder, const std::string& name,
                                                            const std::string& path);

// A tensor that a model of some config has.
struct ExpectedTensor {
  std::string name;
  int64_t rows;  // 1 for a vector
  int64_t columns;
};
std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config);

// INVALID_ARGUMENT unless every tensor that the config asks for is there, readable and of the right shape.
absl::Status CheckTensors(const Checkpoint& checkpoint);

// INVALID_ARGUMENT unless the rows exist and `out` has their size.
absl::Status CheckRows(const std::string& name, const TensorInfo& info, int64_t first_row, int64_t rows, size_t out);

}  // namespace uaqf::model
