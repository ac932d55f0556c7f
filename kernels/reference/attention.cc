#include <algorithm>
#include <cmath>

#include "kernels/cpu/isa_functions.h"
#include "kernels/fp16.h"

namespace uaqf::kernels::internal::reference {

void AttendRun(const AttentionRun& run) {
  for (int64_t head = 0; head < run.heads; ++head) {
    const float* query = run.query + head * run.head_dim;
    float* out = run.out + head * run.head_dim;
    for (int64_t i = 0; i < run.count; ++i) {
      float dot = 0;
      for (int64_t d = 0; d < run.head_dim; ++d) dot += query[d] * kernels::Fp16ToFloat(run.keys[i * run.head_dim + d]);
      run.scores[i] = dot * run.scale;
    }
    const float largest = *std::max_element(run.scores, run.scores + run.count);
    float sum = 0;
    std::fill(out, out + run.head_dim, 0.0f);
    for (int64_t i = 0; i < run.count; ++i) {
      const float weight = std::exp(run.scores[i] - largest);
      sum += weight;
      for (int64_t d = 0; d < run.head_dim; ++d)
        out[d] += weight * kernels::Fp16ToFloat(run.values[i * run.head_dim + d]);
    }
    run.largest[head] = largest;
    run.sum[head] = sum;
  }
}

// keys and values [position][dimension].
void DecodeKv(const KvPanels& panels, const uint16_t* keys, const uint16_t* values) {
  for (int64_t i = 0; i < panels.used * panels.head_dim; ++i) {
    panels.keys[i] = kernels::Fp16ToFloat(keys[i]);
    panels.values[i] = kernels::Fp16ToFloat(values[i]);
  }
}

void AttendTokens(const KvPanels& panels, const AttentionTokens& work) {
  for (int64_t token = 0; token < work.tokens; ++token) {
    const float* query = work.query + token * work.stride;
    float* out = work.out + token * work.stride;
    const int64_t end = work.first + token + 1;
    const int64_t begin = work.window > 0 ? std::max<int64_t>(0, end - work.window) : 0;
    for (int64_t i = begin; i < end; ++i) {
      float dot = 0;
      for (int64_t d = 0; d < panels.head_dim; ++d) dot += query[d] * panels.keys[i * panels.head_dim + d];
      work.scores[i] = dot * work.scale;
    }
    const float largest = *std::max_element(work.scores + begin, work.scores + end);
    float sum = 0;
    std::fill(out, out + panels.head_dim, 0.0f);
    for (int64_t i = begin; i < end; ++i) {
      const float weight = std::exp(work.scores[i] - largest);
      sum += weight;
      for (int64_t d = 0; d < panels.head_dim; ++d) out[d] += weight * panels.values[i * panels.head_dim + d];
    }
    for (int64_t d = 0; d < panels.head_dim; ++d) out[d] /= sum;
  }
}

}  // namespace uaqf::kernels::internal::reference
