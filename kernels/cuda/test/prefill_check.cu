#include <algorithm>
#include <cstring>

#include "kernels/cuda/logits.h"
#include "kernels/cuda/prefill.h"
#include "kernels/cuda/prefill/staged.h"
#include "kernels/cuda/test/check.h"

namespace uaqf::cuda {

namespace {

constexpr float kEpsilon = 1e-5f;

std::vector<__half> RandomHalves(Random& random, size_t count) {
  std::vector<__half> out(count);
  for (__half& v : out) v = __float2half_rn(random.Normal());
  return out;
}

std::vector<float> RandomFloats(Random& random, size_t count, float mean = 0) {
  std::vector<float> out(count);
  for (float& v : out) v = mean + random.Normal();
  return out;
}

std::vector<double> Widen(const std::vector<__half>& v) {
  std::vector<double> out;
  for (const __half h : v) out.push_back(static_cast<double>(__half2float(h)));
  return out;
}

std::vector<float> Narrow(const std::vector<__half>& v) {
  std::vector<float> out;
  for (const __half h : v) out.push_back(__half2float(h));
  return out;
}

std::vector<__half> Poison(size_t count) { return std::vector<__half>(count, __float2half_rn(NAN)); }

std::vector<double> Normed(const std::vector<float>& x, const std::vector<float>& weight, int tokens, int width) {
  std::vector<double> out(x.size());
  for (int t = 0; t < tokens; ++t) {
    const size_t at = static_cast<size_t>(t) * static_cast<size_t>(width);
    double squares = 0;
    for (int i = 0; i < width; ++i) squares += static_cast<double>(x[at + i]) * static_cast<double>(x[at + i]);
    const double factor = 1 / std::sqrt(squares / width + static_cast<double>(kEpsilon));
    for (int i = 0; i < width; ++i)
      out[at + i] = static_cast<double>(x[at + i]) * factor * static_cast<double>(weight[i]);
  }
  return out;
}

// Codes times scales are near the values, and every token's largest code is 127.
void ExpectQuantized(const std::string& name, const std::vector<int8_t>& codes, const std::vector<float>& scales,
                     const std::vector<double>& values, int tokens, int width) {
  double worst = 0;
  for (int t = 0; t < tokens; ++t) {
    const size_t at = static_cast<size_t>(t) * static_cast<size_t>(width);
    double maximum = 0;
    for (int i = 0; i < width; ++i) maximum = std::max(maximum, std::abs(values[at + i]));
    const double scale = std::max(maximum, 1e-5) / 127;
    worst = std::max(worst, std::abs(static_cast<double>(scales[static_cast<size_t>(t)]) / scale - 1));
    for (int i = 0; i < width; ++i) {
      // Half a step, and a little where the reference rounds the other way.
      worst = std::max(worst, std::abs(codes[at + i] - values[at + i] / scale) - 0.5);
    }
  }
  Report(worst < 1e-3, name, worst, 1e-3);
}

void CheckNorms(int tokens, int width) {
  const std::string shape = " " + std::to_string(tokens) + "x" + std::to_string(width);
  Random random(static_cast<uint64_t>(tokens + width));
  const size_t count = static_cast<size_t>(tokens) * static_cast<size_t>(width);
  std::vector<float> x = RandomFloats(random, count);
  x[count / 2] = 300.0f;
  const std::vector<float> weight = RandomFloats(random, static_cast<size_t>(width), 1);
  const std::vector<double> ref = Normed(x, weight, tokens, width);
  const OnDevice<float> dx(x);
  const OnDevice<float> dw(weight);
  const OnDevice<__half> out(Poison(count));
  if (!ExpectOk("norm", NormFp16(dx.get(), dw.get(), tokens, width, kEpsilon, {out.get()}, nullptr))) return;
  ExpectNear("norm" + shape, Narrow(out.Read()), ref, 5e-4);
  const OnDevice<int8_t> codes(std::vector<int8_t>(count, 99));
  const OnDevice<float> scales(std::vector<float>(static_cast<size_t>(tokens), NAN));
  if (!ExpectOk("norm and quantization",
                NormInt8(dx.get(), dw.get(), tokens, width, kEpsilon, {codes.get(), scales.get()}, nullptr))) {
    return;
  }
  ExpectQuantized("norm and quantization" + shape, codes.Read(), scales.Read(), ref, tokens, width);
  const std::vector<__half> halves = out.Read();
  if (!ExpectOk("quantization", QuantizeRows(out.get(), tokens, width, {codes.get(), scales.get()}, nullptr))) return;
  ExpectQuantized("quantization" + shape, codes.Read(), scales.Read(), Widen(halves), tokens, width);
}

void CheckElementwise(int tokens, int width) {
  const std::string shape = " " + std::to_string(tokens) + "x" + std::to_string(width);
  Random random(static_cast<uint64_t>(tokens * 3 + width));
  const size_t count = static_cast<size_t>(tokens) * static_cast<size_t>(width);
  const auto w = static_cast<size_t>(width);
  const std::vector<__half> both = RandomHalves(random, 2 * count);
  const std::vector<float> bias = RandomFloats(random, 2 * w);
  const std::vector<float> residual = RandomFloats(random, count);
  std::vector<double> silu(count);
  std::vector<double> sum(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = i / w * 2 * w + i % w;
    const double gate = static_cast<double>(__half2float(both[at]) + bias[i % w]);
    silu[i] = gate / (1 + std::exp(-gate)) * static_cast<double>(__half2float(both[at + w]) + bias[w + i % w]);
    sum[i] = static_cast<double>(residual[i]) + static_cast<double>(__half2float(both[i]) + bias[i % w]);
  }
  const OnDevice<__half> dboth(both);
  const OnDevice<float> dbias(bias);
  const OnDevice<float> dresidual(residual);
  const OnDevice<__half> out(Poison(count));
  if (!ExpectOk("SiLU", GatedFp16(dboth.get(), dbias.get(), tokens, width, {out.get()}, nullptr))) return;
  ExpectNear("SiLU" + shape, Narrow(out.Read()), silu, 5e-4);
  if (!ExpectOk("residual", AddTo(dresidual.get(), dboth.get(), dbias.get(), tokens, width, nullptr))) return;
  ExpectNear("residual" + shape, dresidual.Read(), sum, 1e-6);
  std::vector<int32_t> sums(count);
  for (int32_t& v : sums) v = random.Below(2000000) - 1000000;
  const std::vector<float> rows = RandomFloats(random, w, 2);
  const std::vector<float> tokens_scale = RandomFloats(random, static_cast<size_t>(tokens), 2);
  std::vector<double> scaled(count);
  for (size_t i = 0; i < count; ++i) {
    scaled[i] = sums[i] * static_cast<double>(rows[i % w] * 1e-4f) * static_cast<double>(tokens_scale[i / w]);
  }
  std::vector<float> small = rows;
  for (float& v : small) v *= 1e-4f;
  const OnDevice<int32_t> dsums(sums);
  const OnDevice<float> drows(small);
  const OnDevice<float> dtokens(tokens_scale);
  if (!ExpectOk("scaling",
                Dequantize(dsums.get(), drows.get(), dtokens.get(), tokens, width, out.get(), width, nullptr)))
    return;
  ExpectNear("scaling" + shape, Narrow(out.Read()), scaled, 5e-4);
}

// The same values in the order of staged.h, zeros in the padding of the columns, through every kernel that writes it.
void CheckStaged(int tokens, int width) {
  const std::string shape = " " + std::to_string(tokens) + "x" + std::to_string(width);
  Random random(static_cast<uint64_t>(tokens * 5 + width));
  const std::vector<__half> both = RandomHalves(random, 2 * static_cast<size_t>(tokens) * static_cast<size_t>(width));
  const OnDevice<__half> in(both);
  const int padded = PaddedTokens(tokens);
  const size_t count = static_cast<size_t>(tokens) * static_cast<size_t>(width);
  const OnDevice<__half> rows(Poison(count));
  const OnDevice<__half> staged(Poison(static_cast<size_t>(padded) * static_cast<size_t>(PaddedWidth(width))));
  const OnDevice<int8_t> codes(std::vector<int8_t>(count, 99));
  const OnDevice<int8_t> staged_codes(std::vector<int8_t>(staged.Read().size(), 99));
  const OnDevice<float> scales(std::vector<float>(static_cast<size_t>(tokens), NAN));
  if (!ExpectOk("staged", CopyRows(in.get(), tokens, width, {rows.get()}, nullptr)) ||
      !ExpectOk("staged", CopyRows(in.get(), tokens, width, {staged.get(), padded}, nullptr)) ||
      !ExpectOk("staged", GatedInt8(in.get(), nullptr, tokens, width, {codes.get(), scales.get()}, nullptr)) ||
      !ExpectOk("staged",
                GatedInt8(in.get(), nullptr, tokens, width, {staged_codes.get(), scales.get(), padded}, nullptr))) {
    return;
  }
  const std::vector<float> expected = Narrow(rows.Read());
  const std::vector<float> got = Narrow(staged.Read());
  const std::vector<int8_t> expected_codes = codes.Read();
  const std::vector<int8_t> got_codes = staged_codes.Read();
  size_t wrong = 0;
  for (int t = 0; t < tokens; ++t) {
    for (int c = 0; c < PaddedWidth(width); ++c) {
      const auto at = static_cast<size_t>(int64_t{t} * width + c);
      const int64_t half = StagedFp16(padded, t, c / 8 * 8, c % 8 / 2) / 2 + c % 2;
      const int64_t byte = StagedInt8(padded, t, c / 8 * 8, c % 8 / 4) + ByteOfColumn(c % 4);
      wrong += got[static_cast<size_t>(half)] != (c < width ? expected[at] : 0.0f);
      wrong += got_codes[static_cast<size_t>(byte)] != (c < width ? expected_codes[at] : 0);
      wrong += c < width && expected[at] != __half2float(both[at]);
    }
  }
  Report(wrong == 0, "staged" + shape, static_cast<double>(wrong), 0);
}

void CheckLogits(int tokens, int vocab) {
  const std::string shape = " " + std::to_string(tokens) + "x" + std::to_string(vocab);
  Random random(static_cast<uint64_t>(vocab));
  std::vector<float> logits = RandomFloats(random, static_cast<size_t>(tokens) * static_cast<size_t>(vocab));
  std::vector<int32_t> targets;
  std::vector<double> ref;
  for (int t = 0; t < tokens; ++t) {
    targets.push_back(random.Below(vocab));
    double sum = 0;
    const float* row = &logits[static_cast<size_t>(t) * static_cast<size_t>(vocab)];
    for (int i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(row[i]));
    ref.push_back(std::log(sum) - static_cast<double>(row[targets.back()]));
  }
  const OnDevice<float> device(logits);
  const OnDevice<int32_t> device_targets(targets);
  const OnDevice<double> nll(std::vector<double>(static_cast<size_t>(tokens), NAN));
  if (!ExpectOk("nll", NegativeLogLikelihoods(device.get(), device_targets.get(), tokens, vocab, nll.get(), nullptr))) {
    return;
  }
  ExpectNear("nll" + shape, nll.Read(), ref, 1e-6);
  // Equals: the lowest id. A NaN never wins.
  logits.resize(static_cast<size_t>(vocab));
  logits[0] = NAN;
  const int best = vocab / 2;
  for (int i = best; i < vocab; i += 3) logits[static_cast<size_t>(i)] = 50;
  const OnDevice<float> one(logits);
  const OnDevice<int32_t> id(std::vector<int32_t>(1, -1));
  if (!ExpectOk("arg max", ArgMax(one.get(), vocab, id.get(), nullptr))) return;
  Report(id.Read()[0] == best, "arg max" + shape, id.Read()[0] - best, 0);
}

struct AttentionCase {
  int heads, kv_heads, head_dim, capacity, window, first, tokens;
};

// Attention of all queries over caches, in float64.
std::vector<double> Reference(const AttentionCase& c, const std::vector<__half>& query, int stride,
                              const std::vector<__half>& keys, const std::vector<__half>& values) {
  std::vector<double> out(static_cast<size_t>(c.tokens) * static_cast<size_t>(c.heads * c.head_dim));
  ParallelFor(c.tokens * c.heads, [&](int item) {
    const int t = item / c.heads;
    const int h = item % c.heads;
    const int position = c.first + t;
    const int from = c.window > 0 ? std::max(0, position - c.window + 1) : 0;
    const int64_t base = int64_t{h / (c.heads / c.kv_heads)} * c.capacity;
    std::vector<double> weights(static_cast<size_t>(position + 1));
    double maximum = -INFINITY;
    for (int p = from; p <= position; ++p) {
      double dot = 0;
      for (int d = 0; d < c.head_dim; ++d) {
        dot += static_cast<double>(__half2float(query[static_cast<size_t>(int64_t{t} * stride + h * c.head_dim + d)])) *
               static_cast<double>(__half2float(keys[static_cast<size_t>((base + p) * c.head_dim + d)]));
      }
      weights[static_cast<size_t>(p)] = dot / std::sqrt(static_cast<double>(c.head_dim));
      maximum = std::max(maximum, weights[static_cast<size_t>(p)]);
    }
    double sum = 0;
    for (int p = from; p <= position; ++p) {
      weights[static_cast<size_t>(p)] = std::exp(weights[static_cast<size_t>(p)] - maximum);
      sum += weights[static_cast<size_t>(p)];
    }
    for (int p = from; p <= position; ++p) {
      for (int d = 0; d < c.head_dim; ++d) {
        out[static_cast<size_t>(int64_t{item} * c.head_dim + d)] +=
            weights[static_cast<size_t>(p)] / sum *
            static_cast<double>(__half2float(values[static_cast<size_t>((base + p) * c.head_dim + d)]));
      }
    }
  });
  return out;
}

void CheckAttention(const AttentionCase& c) {
  const std::string name = "prefill attention " + std::to_string(c.heads) + "/" + std::to_string(c.kv_heads) + " dim " +
                           std::to_string(c.head_dim) + " window " + std::to_string(c.window) + " at " +
                           std::to_string(c.first) + "+" + std::to_string(c.tokens);
  Random random(static_cast<uint64_t>(c.head_dim + c.tokens));
  const int stride = (c.heads + 2 * c.kv_heads) * c.head_dim;
  const std::vector<__half> query = RandomHalves(random, static_cast<size_t>(c.tokens) * static_cast<size_t>(stride));
  const auto cache = static_cast<size_t>(int64_t{c.kv_heads} * c.capacity * c.head_dim);
  std::vector<__half> keys = RandomHalves(random, cache);
  std::vector<__half> values = RandomHalves(random, cache);
  for (size_t i = 0; i < cache; ++i) {
    // What has not been written must not matter.
    if (static_cast<int>(i / static_cast<size_t>(c.head_dim)) % c.capacity < c.first + c.tokens) continue;
    keys[i] = values[i] = __float2half_rn(NAN);
  }
  const OnDevice<__half> dq(query);
  const OnDevice<__half> dk(keys);
  const OnDevice<__half> dv(values);
  const OnDevice<__half> out(Poison(static_cast<size_t>(c.tokens) * static_cast<size_t>(c.heads * c.head_dim)));
  const PrefillAttentionShape shape = {c.heads,    c.kv_heads, c.head_dim,
                                       c.capacity, c.window,   1.0f / std::sqrt(static_cast<float>(c.head_dim))};
  if (!ExpectOk(name,
                PrefillAttention(shape, c.first, c.tokens, dq.get(), stride, dk.get(), dv.get(), out.get(), nullptr))) {
    return;
  }
  ExpectNear(name, Narrow(out.Read()), Reference(c, query, stride, keys, values), 2e-3);
}

void CheckRope(int heads, int kv_heads, int head_dim, int first, int tokens) {
  const std::string name = "RoPE " + std::to_string(heads) + "/" + std::to_string(kv_heads) + " dim " +
                           std::to_string(head_dim) + " at " + std::to_string(first) + "+" + std::to_string(tokens);
  Random random(static_cast<uint64_t>(head_dim));
  const int capacity = first + tokens + 3;
  const int half = head_dim / 2;
  const int width = (heads + 2 * kv_heads) * head_dim;
  const std::vector<__half> qkv = RandomHalves(random, static_cast<size_t>(tokens) * static_cast<size_t>(width));
  const std::vector<float> cosine = RandomFloats(random, static_cast<size_t>(capacity * half));
  const std::vector<float> sine = RandomFloats(random, static_cast<size_t>(capacity * half));
  const std::vector<float> bias = RandomFloats(random, static_cast<size_t>(width));
  std::vector<double> ref;
  for (int t = 0; t < tokens; ++t) {
    for (int i = 0; i < width; ++i) {
      const size_t row = static_cast<size_t>(t) * static_cast<size_t>(width);
      const auto at = [&](int column) {
        return static_cast<double>(__half2float(qkv[row + static_cast<size_t>(column)])) +
               static_cast<double>(bias[static_cast<size_t>(column)]);
      };
      const int d = i % head_dim;
      const auto angle = static_cast<size_t>((first + t) * half + d % half);
      const double c = static_cast<double>(cosine[angle]);
      const double s = static_cast<double>(sine[angle]);
      const bool turned = i < (heads + kv_heads) * head_dim;
      ref.push_back(!turned ? at(i) : d < half ? at(i) * c - at(i + half) * s : at(i) * c + at(i - half) * s);
    }
  }
  const OnDevice<__half> dqkv(qkv);
  const OnDevice<float> dc(cosine);
  const OnDevice<float> ds(sine);
  const OnDevice<float> db(bias);
  const auto cache = static_cast<size_t>(kv_heads * capacity * head_dim);
  const OnDevice<__half> keys(Poison(cache));
  const OnDevice<__half> values(Poison(cache));
  if (!ExpectOk(name, RopeAndCache({heads, kv_heads, head_dim, capacity}, first, tokens, dc.get(), ds.get(), db.get(),
                                   dqkv.get(), keys.get(), values.get(), nullptr))) {
    return;
  }
  std::vector<float> got = Narrow(dqkv.Read());
  const std::vector<float> caches[2] = {Narrow(keys.Read()), Narrow(values.Read())};
  for (int t = 0; t < tokens; ++t) {
    for (int i = 0; i < 2 * kv_heads * head_dim; ++i) {
      const int head = i / head_dim;
      const int64_t at = (int64_t{head % kv_heads} * capacity + first + t) * head_dim + i % head_dim;
      got[static_cast<size_t>(t * width + heads * head_dim + i)] = caches[head / kv_heads][static_cast<size_t>(at)];
    }
  }
  ExpectNear(name, got, ref, 5e-4);
}

}  // namespace

void CheckPrefill() {
  for (const int tokens : {1, 7, 512}) {
    for (const int width : {8, 576, 4096, 11008}) {
      if (width <= 8192) CheckNorms(tokens, width);
      CheckStaged(tokens, width);
      CheckElementwise(tokens, width);
    }
  }
  CheckLogits(3, 32000);
  CheckLogits(64, 517);
  CheckRope(9, 3, 64, 0, 5);
  CheckRope(4, 2, 80, 17, 33);
  CheckRope(32, 8, 128, 100, 70);
  CheckAttention({9, 3, 64, 600, 0, 0, 512});
  CheckAttention({4, 4, 128, 700, 0, 0, 1});
  CheckAttention({4, 2, 128, 700, 0, 130, 517});
  CheckAttention({8, 2, 128, 1100, 200, 0, 1000});
  CheckAttention({2, 1, 256, 300, 0, 3, 190});
  CheckAttention({2, 1, 80, 300, 50, 0, 300});
  CheckAttention({2, 1, 32, 4200, 0, 4000, 129});
  CheckAttention({2, 2, 128, 2048, 0, 0, 2048});
}

}  // namespace uaqf::cuda
