#include "worker/engine/engine.h"

#include "worker/engine/cpu_engine.h"

namespace uaqf::engine {

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const model::Checkpoint& checkpoint,
                                                       const quantize::Variant& variant, const EngineOptions& options) {
  return CpuEngine::Create(checkpoint, variant, options);
}

}  // namespace uaqf::engine
