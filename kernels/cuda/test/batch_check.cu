#include <algorithm>
#include <cstring>

#include "kernels/cuda/batch_graph.h"
#include "kernels/cuda/bench/synthetic_model.h"
#include "kernels/cuda/logits.h"
#include "kernels/cuda/prefill/staged.h"
#include "kernels/cuda/test/check_model.h"

namespace uaqf::cuda {

namespace {

std::vector<__half> Poison(size_t count) { return std::vector<__half>(count, __float2half_rn(NAN)); }

std::vector<__half> RandomHalves(Random& random, size_t count) {
  std::vector<__half> out(count);
  for (__half& v : out) v = __float2half_rn(random.Normal());
  return out;
}

std::vector<float> RandomFloats(Random& random, size_t count) {
  std::vector<float> out(count);
  for (float& v : out) v = random.Normal();
  return out;
}

std::vector<float> Narrow(const std::vector<__half>& v) {
  std::vector<float> out;
  for (const __half h : v) out.push_back(__half2float(h));
  return out;
}

// Rows that may be in the order of staged.h, row-major.
std::vector<float> Unstage(const std::vector<__half>& staged, int padded, int sequences, int width) {
  std::vector<float> out;
  for (int s = 0; s < sequences; ++s) {
    for (int c = 0; c < width; ++c) {
      const int64_t at = StagedFp16(padded, s, c / 8 * 8, c % 8 / 2) / 2 + c % 2;
      out.push_back(__half2float(staged[static_cast<size_t>(at)]));
    }
  }
  return out;
}

// The activations of a product: what is staged of them, and what it stands for.
struct Input {
  std::vector<uint8_t> staged;
  std::vector<float> scales;
  std::vector<double> values;  // [sequences, cols]
};

Input RandomInput(Random& random, int sequences, int cols, bool int8) {
  const int padded = PaddedSequences(sequences);
  Input in;
  // What tokens of the padding hold does not matter; columns of the padding are zero.
  in.staged.assign(static_cast<size_t>(int64_t{padded} * PaddedWidth(cols) * (int8 ? 1 : 2)), 0);
  in.values.resize(static_cast<size_t>(sequences) * static_cast<size_t>(cols));
  for (int s = 0; s < padded; ++s) {
    const float scale = 0.01f * (1.5f + random.Uniform());
    if (s < sequences) in.scales.push_back(scale);
    for (int c = 0; c < cols; ++c) {
      double value = 0;
      if (int8) {
        const auto code = static_cast<int8_t>(random.Below(255) - 127);
        const int64_t word = StagedInt8(padded, s, c / 8 * 8, c % 8 / 4);
        in.staged[static_cast<size_t>(word + ByteOfColumn(c % 4))] = static_cast<uint8_t>(code);
        value = code * static_cast<double>(scale);
      } else {
        const __half half = __float2half_rn(s < sequences ? random.Normal() : NAN);
        const int64_t word = StagedFp16(padded, s, c / 8 * 8, c % 8 / 2);
        std::memcpy(&in.staged[static_cast<size_t>(word + c % 2 * 2)], &half, 2);
        value = static_cast<double>(__half2float(half));
      }
      if (s < sequences) in.values[static_cast<size_t>(s) * static_cast<size_t>(cols) + static_cast<size_t>(c)] = value;
    }
  }
  return in;
}

std::vector<double> Reference(const HostMatrix& w, const Input& in, const std::vector<float>& bias, int sequences) {
  const auto cols = static_cast<size_t>(w.cols);
  std::vector<double> ref(static_cast<size_t>(sequences) * static_cast<size_t>(w.rows));
  ParallelFor(w.rows, [&](int r) {
    for (int s = 0; s < sequences; ++s) {
      double sum = static_cast<double>(bias[static_cast<size_t>(r)]);
      for (size_t c = 0; c < cols; ++c) {
        sum += static_cast<double>(w.values[static_cast<size_t>(r) * cols + c]) *
               in.values[static_cast<size_t>(s) * cols + c];
      }
      ref[static_cast<size_t>(s) * static_cast<size_t>(w.rows) + static_cast<size_t>(r)] = sum;
    }
  });
  return ref;
}

// A product of one kind and shape with all that its results can be.
class ProductCase {
 public:
  ProductCase(const CheckKind& kind, const TileMap& map, int cols, int sequences)
      : name_(std::string("batch product ") + kind.name + " " + std::to_string(map.rows) + "x" + std::to_string(cols) +
              " order " + std::to_string(static_cast<int>(map.order)) + " sequences " + std::to_string(sequences)),
        kind_(kind),
        map_(map),
        sequences_(sequences),
        random_(static_cast<uint64_t>(cols + sequences)),
        pair_(MakePair(kind, map, cols, {map.rows}, 21)),
        in_(RandomInput(random_, sequences, pair_->host.cols, kind.int8_activations)),
        bias_(RandomFloats(random_, static_cast<size_t>(map.rows))),
        ref_(Reference(pair_->host, in_, bias_, sequences)),
        input_(in_.staged),
        scales_(in_.scales),
        device_bias_(bias_),
        // A scaled INT4 weight is rounded to FP16.
        limit_(kind.group > 0 ? 1e-3 : 5e-4) {}

  void Check() {
    if (map_.order == RowOrder::kGated) return CheckGated();
    CheckSums();
    if (map_.order == RowOrder::kRotary) CheckHeads();
  }

 private:
  bool Run(BatchTarget target, const std::string& what) {
    target.bias = device_bias_.get();
    const StagedRows rows = {input_.get(), kind_.int8_activations ? scales_.get() : nullptr};
    return ExpectOk(name_ + what, MultiplyBatch(pair_->device.view(), rows, sequences_, target, nullptr)) &&
           ExpectOk(name_ + what, FromCuda(cudaDeviceSynchronize(), "product"));
  }

  void CheckSums() {
    std::vector<float> before = RandomFloats(random_, ref_.size());
    std::vector<double> added = ref_;
    for (size_t i = 0; i < added.size(); ++i) added[i] += static_cast<double>(before[i]);
    std::vector<std::vector<float>> outs;
    for (int i = 0; i < 3; ++i) {
      const OnDevice<float> sums(i < 2 ? std::vector<float>(ref_.size(), NAN) : before);
      BatchTarget target;
      target.kind = i < 2 ? BatchTarget::kSet : BatchTarget::kAdd;
      target.sums = sums.get();
      if (!Run(target, "")) return;
      outs.push_back(sums.Read());
    }
    ExpectNear(name_, outs[0], ref_, limit_);
    const bool same = std::memcmp(outs[0].data(), outs[1].data(), outs[0].size() * 4) == 0;
    Report(same, name_ + " again", same ? 0 : 1, 0);
    ExpectNear(name_ + " added", outs[2], added, limit_);
  }

  void CheckGated() {
    const int ff = map_.rows / 2;
    std::vector<double> gated;
    for (int s = 0; s < sequences_; ++s) {
      for (int i = 0; i < ff; ++i) {
        const size_t at = static_cast<size_t>(s) * static_cast<size_t>(map_.rows) + static_cast<size_t>(i);
        gated.push_back(ref_[at] / (1 + std::exp(-ref_[at])) * ref_[at + static_cast<size_t>(ff)]);
      }
    }
    BatchTarget target;
    target.kind = BatchTarget::kGated;
    const OnDevice<__half> plain(Poison(gated.size()));
    target.gated = {plain.get(), 0};
    if (!Run(target, " gated")) return;
    ExpectNear(name_ + " gated", Narrow(plain.Read()), gated, 2 * limit_);
    const int padded = PaddedSequences(sequences_);
    const OnDevice<__half> staged(Poison(static_cast<size_t>(padded) * static_cast<size_t>(PaddedWidth(ff))));
    target.gated = {staged.get(), padded};
    if (!Run(target, " gated, staged")) return;
    ExpectNear(name_ + " gated, staged", Unstage(staged.Read(), padded, sequences_, ff), gated, 2 * limit_);
  }

  void CheckHeads() {
    const int dim = map_.head_dim;
    const int kv_heads = (map_.rows - map_.rotary_rows) / dim;
    const int heads = map_.rotary_rows / dim - kv_heads;
    const int capacity = 40;
    const int half = dim / 2;
    std::vector<int32_t> positions;
    for (int s = 0; s < sequences_; ++s) positions.push_back(random_.Below(capacity));
    const std::vector<float> cosine = RandomFloats(random_, static_cast<size_t>(capacity * half));
    const std::vector<float> sine = RandomFloats(random_, static_cast<size_t>(capacity * half));
    const int64_t stride = int64_t{kv_heads} * capacity * dim + 64;
    const OnDevice<int32_t> at(positions);
    const OnDevice<float> c(cosine);
    const OnDevice<float> s(sine);
    const OnDevice<__half> query(Poison(static_cast<size_t>(sequences_ * heads * dim)));
    const OnDevice<__half> keys(Poison(static_cast<size_t>(stride * sequences_)));
    const OnDevice<__half> values(Poison(static_cast<size_t>(stride * sequences_)));
    BatchTarget target;
    target.kind = BatchTarget::kHeads;
    target.rope = {heads, kv_heads, dim, capacity};
    target.positions = at.get();
    target.cosine = c.get();
    target.sine = s.get();
    target.query = query.get();
    target.cache = {keys.get(), values.get(), stride};
    if (!Run(target, " heads")) return;
    const std::vector<float> q = Narrow(query.Read());
    const std::vector<float> k = Narrow(keys.Read());
    const std::vector<float> v = Narrow(values.Read());
    std::vector<float> got;
    std::vector<double> expected;
    for (int i = 0; i < sequences_; ++i) {
      const int position = positions[static_cast<size_t>(i)];
      for (int r = 0; r < map_.rows; ++r) {
        const double* row = &ref_[static_cast<size_t>(i) * static_cast<size_t>(map_.rows)];
        const int d = r % dim;
        const auto angle = static_cast<size_t>(position * half + d % half);
        const double co = static_cast<double>(cosine[angle]);
        const double si = static_cast<double>(sine[angle]);
        expected.push_back(r >= map_.rotary_rows ? row[r]
                           : d < half            ? row[r] * co - row[r + half] * si
                                                 : row[r] * co + row[r - half] * si);
        const int head = r / dim;
        const int kv = (head - heads) % std::max(kv_heads, 1);
        const auto in_cache = static_cast<size_t>(i * stride + (int64_t{kv} * capacity + position) * dim + d);
        got.push_back(head < heads              ? q[static_cast<size_t>((i * heads + head) * dim + d)]
                      : head < heads + kv_heads ? k[in_cache]
                                                : v[in_cache]);
      }
    }
    ExpectNear(name_ + " heads", got, expected, limit_);
  }

  const std::string name_;
  const CheckKind& kind_;
  const TileMap map_;
  const int sequences_;
  Random random_;
  const std::unique_ptr<PackedPair> pair_;
  const Input in_;
  const std::vector<float> bias_;
  const std::vector<double> ref_;
  const OnDevice<uint8_t> input_;
  const OnDevice<float> scales_;
  const OnDevice<float> device_bias_;
  const double limit_;
};

void CheckBatchProducts() {
  for (const CheckKind& kind : kCheckKinds) {
    if (kind.rounded) continue;
    const auto check = [&](const TileMap& map, int cols, int sequences) {
      ProductCase(kind, map, cols, sequences).Check();
    };
    check({RowOrder::kPlain, 8, 0, 0}, 8, 1);
    check({RowOrder::kPlain, 584, 0, 0}, 2304, 3);
    check({RowOrder::kPlain, 256, 0, 0}, 11008, 16);
    check({RowOrder::kPlain, 1000, 0, 0}, 4096, 32);
    check({RowOrder::kRotary, 960, 64, 768}, 576, 2);
    check({RowOrder::kRotary, 14 * 64 + 4 * 64, 64, 14 * 64 + 2 * 64}, 896, 31);
    check({RowOrder::kRotary, 5 * 48 * 3, 48, 5 * 48 * 2}, 200, 9);
    check({RowOrder::kRotary, 12288, 128, 8192}, 1024, 8);
    check({RowOrder::kGated, 2 * 104, 0, 0}, 264, 5);
    check({RowOrder::kGated, 22016, 0, 0}, 1024, 17);
  }
  ProductCase(kCheckKinds[0], {RowOrder::kPlain, 32001, 0, 0}, 576, 8).Check();
}

struct AttentionCase {
  int heads, kv_heads, head_dim, capacity, window;
  std::vector<int32_t> positions;
};

void CheckBatchAttention(const AttentionCase& c) {
  const auto sequences = static_cast<int>(c.positions.size());
  const std::string name = "batch attention " + std::to_string(c.heads) + "/" + std::to_string(c.kv_heads) + " dim " +
                           std::to_string(c.head_dim) + " window " + std::to_string(c.window) + " sequences " +
                           std::to_string(sequences);
  Random random(static_cast<uint64_t>(c.head_dim + sequences));
  const int64_t stride = int64_t{c.kv_heads} * c.capacity * c.head_dim;
  const int width = c.heads * c.head_dim;
  const std::vector<__half> query = RandomHalves(random, static_cast<size_t>(sequences * width));
  std::vector<__half> keys = RandomHalves(random, static_cast<size_t>(stride * sequences));
  std::vector<__half> values = RandomHalves(random, static_cast<size_t>(stride * sequences));
  for (size_t i = 0; i < keys.size(); ++i) {
    // What has not been written must not matter.
    const size_t row = i / static_cast<size_t>(c.head_dim);
    const int position = c.positions[row / static_cast<size_t>(c.kv_heads * c.capacity)];
    if (static_cast<int>(row % static_cast<size_t>(c.capacity)) > position) keys[i] = values[i] = __float2half_rn(NAN);
  }
  std::vector<double> ref(query.size());
  ParallelFor(sequences * c.heads, [&](int item) {
    const int position = c.positions[static_cast<size_t>(item / c.heads)];
    const int from = c.window > 0 ? std::max(0, position - c.window + 1) : 0;
    const int64_t base =
        item / c.heads * stride + int64_t{item % c.heads / (c.heads / c.kv_heads)} * c.capacity * c.head_dim;
    const auto value = [&](const std::vector<__half>& of, int64_t at) {
      return static_cast<double>(__half2float(of[static_cast<size_t>(at)]));
    };
    std::vector<double> weights;
    double sum = 0;
    for (int p = from; p <= position; ++p) {
      double dot = 0;
      for (int d = 0; d < c.head_dim; ++d) {
        dot += value(query, int64_t{item} * c.head_dim + d) * value(keys, base + int64_t{p} * c.head_dim + d);
      }
      weights.push_back(std::exp(dot / std::sqrt(static_cast<double>(c.head_dim))));
      sum += weights.back();
    }
    for (int p = from; p <= position; ++p) {
      for (int d = 0; d < c.head_dim; ++d) {
        ref[static_cast<size_t>(int64_t{item} * c.head_dim + d)] +=
            weights[static_cast<size_t>(p - from)] / sum * value(values, base + int64_t{p} * c.head_dim + d);
      }
    }
  });
  const BatchAttentionShape shape = {c.heads,    c.kv_heads, c.head_dim,
                                     c.capacity, c.window,   1.0f / std::sqrt(static_cast<float>(c.head_dim))};
  const OnDevice<__half> dq(query);
  const OnDevice<__half> dk(keys);
  const OnDevice<__half> dv(values);
  const OnDevice<int32_t> at(c.positions);
  const OnDevice<uint8_t> scratch(std::vector<uint8_t>(static_cast<size_t>(BatchAttentionBytes(shape, sequences))));
  const int padded = PaddedSequences(sequences);
  std::vector<std::vector<float>> outs;
  for (const int order : {0, padded, 0}) {
    const OnDevice<__half> out(Poison(static_cast<size_t>(padded) * static_cast<size_t>(PaddedWidth(width))));
    if (!ExpectOk(name, BatchAttention(shape, sequences, at.get(), dq.get(), {dk.get(), dv.get(), stride},
                                       {out.get(), order}, scratch.get(), nullptr)) ||
        !ExpectOk(name, FromCuda(cudaDeviceSynchronize(), "attention"))) {
      return;
    }
    std::vector<float> got = order == 0 ? Narrow(out.Read()) : Unstage(out.Read(), padded, sequences, width);
    got.resize(ref.size());
    ExpectNear(name + (order == 0 ? "" : ", staged"), got, ref, 2e-3);
    outs.push_back(got);
  }
  const bool same = outs[0] == outs[2] && outs[0] == outs[1];
  Report(same, name + " again", same ? 0 : 1, 0);
}

// Logits of the first sequence beside those of the graph of one, which has the same cache; again; and with other tokens
// and positions in the other sequences.
void CheckGraph(const WeightKind& kind, int sequences) {
  const std::string name = std::string("batch graph ") + kind.name + " sequences " + std::to_string(sequences);
  DecodeConfig c;
  c.layers = 3;
  c.hidden = 512;
  c.heads = 8;
  c.kv_heads = 4;
  c.head_dim = 64;
  c.ff = 1408;
  c.vocab = 1000;
  c.capacity = 300;
  std::unique_ptr<SyntheticModel> synthetic;
  std::unique_ptr<DecodeGraph> one;
  std::unique_ptr<BatchGraph> batch;
  if (!ExpectOk(name, SyntheticModel::Create(c, kind, 7, nullptr, &synthetic, sequences)) ||
      !ExpectOk(name, DecodeGraph::Create(synthetic->model(), nullptr, &one)) ||
      !ExpectOk(name, BatchGraph::Create(synthetic->model(), {sequences, synthetic->CacheValues()}, nullptr, &batch)) ||
      !ExpectOk(name, batch->Prepare(sequences))) {
    return;
  }
  constexpr int kSteps = 4;
  const auto vocab = static_cast<size_t>(c.vocab);
  std::vector<float> first;
  int32_t chosen = 0;
  for (int run = 0; run < 3; ++run) {
    std::vector<int32_t> tokens;
    std::vector<int32_t> positions;
    for (int s = 0; s < sequences; ++s) {
      tokens.push_back(s == 0 ? 5 : (s + run / 2 * 3) % c.vocab);
      positions.push_back(s == 0 ? 200 : (s * 37 + run / 2 * 11) % (c.capacity - kSteps));
    }
    if (!ExpectOk(name, batch->Set(tokens.data(), positions.data()))) return;
    for (int i = 0; i < kSteps; ++i) {
      // Tokens of ours, so that a near tie does not part what is compared.
      tokens[0] = 5 + i;
      if (!ExpectOk(name, batch->SetTokens(tokens.data())) || !ExpectOk(name, batch->Step())) return;
    }
    if (!ExpectOk(name, batch->Read(tokens.data()))) return;
    const std::vector<float> logits = OnDevice<float>::ReadDevice(batch->logits(), vocab);
    if (run == 0) {
      first = logits;
      chosen = tokens[0];
    }
    const bool same = logits == first && tokens[0] == chosen;
    Report(same, name + (run == 2 ? " beside others" : " again"), same ? 0 : 1, 0);
  }
  if (!ExpectOk(name, one->Set(5, 200))) return;
  for (int i = 0; i < kSteps; ++i) {
    if (!ExpectOk(name, one->SetToken(5 + i)) || !ExpectOk(name, one->Step())) return;
  }
  int32_t token = 0;
  if (!ExpectOk(name, one->Read(&token))) return;
  std::vector<double> expected;
  for (const float v : OnDevice<float>::ReadDevice(one->logits(), vocab)) expected.push_back(static_cast<double>(v));
  // Activations are FP16 here; an INT8 one half-way between two codes becomes either.
  ExpectNear(name + " and one", first, expected, kind.int8_activations ? 6e-2 : 5e-3);
}

void CheckChoice() {
  const int rows = 3;
  const int vocab = 32001;
  Random random(9);
  std::vector<float> logits = RandomFloats(random, static_cast<size_t>(rows * vocab));
  const int best[rows] = {0, vocab - 1, 777};
  for (int r = 0; r < rows; ++r) {
    for (int i = best[r]; i < vocab; i += 500) logits[static_cast<size_t>(r * vocab + i)] = 50;
  }
  logits[static_cast<size_t>(2 * vocab)] = NAN;
  const OnDevice<float> in(logits);
  const OnDevice<int32_t> tokens(std::vector<int32_t>(rows, -1));
  const OnDevice<int32_t> positions(std::vector<int32_t>{4, 5, 6});
  if (!ExpectOk("choice", ChooseTokens(in.get(), rows, vocab, tokens.get(), positions.get(), nullptr))) return;
  const bool right =
      tokens.Read() == std::vector<int32_t>(best, best + rows) && positions.Read() == std::vector<int32_t>{5, 6, 7};
  Report(right, "choice of the tokens of a batch", right ? 0 : 1, 0);
}

}  // namespace

void CheckBatch() {
  CheckChoice();
  CheckBatchProducts();
  CheckBatchAttention({9, 3, 64, 600, 0, {511, 0, 130}});
  CheckBatchAttention({4, 4, 128, 700, 0, {699, 127, 128, 1, 300, 255, 256, 640}});
  CheckBatchAttention({8, 2, 128, 1100, 200, {1099, 100, 199, 200}});
  CheckBatchAttention({14, 2, 64, 300, 0, {299, 17}});
  CheckBatchAttention({4, 2, 256, 300, 0, {299, 17, 128}});
  CheckBatchAttention({2, 1, 80, 300, 50, {49, 50, 299}});
  CheckBatchAttention({2, 1, 32, 4200, 0, {4199, 5}});
  std::vector<int32_t> many;
  for (int i = 0; i < kMostSequences; ++i) many.push_back(i * 97 % 1024);
  CheckBatchAttention({8, 8, 128, 1024, 0, many});
  const WeightKind kinds[] = {{"fp16", Format::kFp16, 0, false, false},
                              {"w8", Format::kInt8, 0, false, false},
                              {"w8a8", Format::kInt8, 0, true, false},
                              {"w4-g64", Format::kInt4, 64, false, false},
                              {"w4-g128z", Format::kInt4, 128, false, false, true}};
  for (const WeightKind& kind : kinds) {
    for (const int sequences : {2, 8, 11, 32}) CheckGraph(kind, sequences);
  }
}

}  // namespace uaqf::cuda
