#include "kernels/cpu/product_inputs.h"

#include <algorithm>
#include <cmath>

namespace uaqf::kernels::internal {
namespace {

// Groups are multiples of eight columns but for the last: eight sums run side by side.
float SumOf(const float* x, int64_t size) {
  float lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    for (int j = 0; j < 8; ++j) lanes[j] += x[i + j];
  }
  for (; i < size; ++i) lanes[0] += x[i];
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

float AbsMaxOf(const float* x, int64_t size) {
  float lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    for (int j = 0; j < 8; ++j) lanes[j] = std::max(lanes[j], std::fabs(x[i + j]));
  }
  for (; i < size; ++i) lanes[0] = std::max(lanes[0], std::fabs(x[i]));
  return *std::max_element(lanes, lanes + 8);
}

// The scale that all tokens of a call share; 0 where each has its own.
float SharedScale(const float* x, int64_t tokens, int64_t cols, Activations activations, ThreadPool& pool) {
  if (activations.kind == Activations::Kind::kFixed) return activations.scale;
  if (activations.kind != Activations::Kind::kTensor || tokens == 1) return 0;
  std::vector<float> absmax(static_cast<size_t>(pool.lanes()));
  pool.ParallelFor(tokens, [&](int64_t begin, int64_t end, int lane) {
    absmax[static_cast<size_t>(lane)] = AbsMaxOf(x + begin * cols, (end - begin) * cols);
  });
  return std::max(*std::max_element(absmax.begin(), absmax.end()), 1e-5f) / 127.0f;
}

template <typename T>
void GrowTo(std::vector<T>& buffer, size_t size) {
  if (buffer.size() < size) buffer.resize(size);
}

bool SameOrder(std::span<const int32_t> a, std::span<const int32_t> b) {
  return a.size() == b.size() && (a.data() == b.data() || std::equal(a.begin(), a.end(), b.begin()));
}

}  // namespace

bool UsesInt8(const PackedMatrix& weights, Activations activations) {
  return activations.kind != Activations::Kind::kFloat && weights.format() != WeightFormat::kFp16;
}

// Layers that read the same input mostly come with the same order.
ProductInputs::Order& ProductInputs::OrderOf(const PackedMatrix& weights) {
  for (size_t i = 0; i < used_; ++i) {
    if (SameOrder(orders_[i]->gather, weights.gather())) return *orders_[i];
  }
  if (used_ == orders_.size()) orders_.push_back(std::make_unique<Order>());
  Order& order = *orders_[used_++];
  order.gather = weights.gather();
  order.quantize = false;
  return order;
}

void ProductInputs::SumGroups(size_t product, const PackedMatrix& weights) {
  Form& form = forms_[product];
  const int64_t groups = (weights.cols() + weights.group_size() - 1) / weights.group_size();
  std::vector<float>& sums = sums_[product];
  GrowTo(sums, static_cast<size_t>(groups));
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t begin = group * weights.group_size();
    sums[group] = SumOf(form.x + begin, std::min(weights.group_size(), weights.cols() - begin));
  }
  form.group_sums = sums.data();
}

void ProductInputs::Prepare(std::span<const Product> products, const float* x, int64_t tokens, Activations activations,
                            ThreadPool& pool, Isa isa) {
  used_ = 0;
  GrowTo(forms_, products.size());
  GrowTo(sums_, products.size());
  const int64_t cols = products[0].weights->cols();
  for (size_t i = 0; i < products.size(); ++i) {
    Order& order = OrderOf(*products[i].weights);
    if (!order.gather.empty()) GrowTo(order.gathered, static_cast<size_t>(tokens * cols));
    const bool int8 = UsesInt8(*products[i].weights, activations);
    const int64_t group = activations.kind == Activations::Kind::kGroups ? products[i].weights->group_size() : 0;
    if (int8 && !order.quantize) order.quantized.Resize(tokens, cols, group > 0 ? cols / group : 0);
    if (int8) order.group = group;
    order.quantize = order.quantize || int8;
    forms_[i] = {order.gather.empty() ? x : order.gathered.data(), int8 ? &order.quantized : nullptr, nullptr};
  }
  const bool any_int8 = std::any_of(orders_.begin(), orders_.begin() + static_cast<int64_t>(used_),
                                    [](const auto& order) { return order->quantize; });
  const float shared_scale = any_int8 ? SharedScale(x, tokens, cols, activations, pool) : 0;
  const auto prepare = [&](int64_t begin, int64_t end, int) {
    for (const std::unique_ptr<Order>& order : std::span(orders_).first(used_)) {
      for (int64_t token = begin; token < end; ++token) {
        const float* values = x + token * cols;
        if (!order->gather.empty()) {
          float* gathered = order->gathered.data() + token * cols;
          for (int64_t col = 0; col < cols; ++col) gathered[col] = values[order->gather[col]];
          values = gathered;
        }
        if (!order->quantize) continue;
        if (order->group > 0) {
          order->quantized.QuantizeGroups(token, values, order->group, activations.clip, activations.keepers);
        } else {
          order->quantized.QuantizeToken(token, values, shared_scale, isa);
        }
      }
    }
  };
  if (tokens > 1) {
    const bool any = std::any_of(orders_.begin(), orders_.begin() + static_cast<int64_t>(used_),
                                 [](const auto& order) { return order->quantize || !order->gather.empty(); });
    if (any) pool.ParallelFor(tokens, prepare);
    return;
  }
  prepare(0, 1, 0);
  for (size_t i = 0; i < products.size(); ++i) {
    const PackedMatrix& weights = *products[i].weights;
    if (!weights.affine() || forms_[i].quantized != nullptr) continue;
    const bool as_before = i > 0 && forms_[i - 1].group_sums != nullptr && forms_[i - 1].x == forms_[i].x &&
                           products[i - 1].weights->group_size() == weights.group_size();
    if (as_before) {
      forms_[i].group_sums = forms_[i - 1].group_sums;
    } else {
      SumGroups(i, weights);
    }
  }
}

}  // namespace uaqf::kernels::internal
