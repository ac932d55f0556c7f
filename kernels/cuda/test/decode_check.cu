#include <algorithm>
#include <cstring>

#include "kernels/cuda/test/check_model.h"
#include "kernels/cuda/test/kv_reference.h"

namespace uaqf::cuda {

namespace {

struct Case {
  const char* name;
  int layers, hidden, heads, kv_heads, head_dim, ff, vocab, capacity, window;
  bool biases;
};

using Vector = std::vector<double>;

struct HostLayer {
  std::unique_ptr<PackedPair> qkv, out, gate_up, down;
  std::vector<float> biases[4];
  std::vector<float> norms[2];
  std::unique_ptr<OnDevice<float>> device_biases[4];
  std::unique_ptr<OnDevice<float>> device_norms[2];
  std::unique_ptr<OnDevice<__half>> caches[2];      // keys and values
  std::unique_ptr<OnDevice<uint8_t>> quantized[2];  // the same with kv_bits of 8 or 4
};

struct HostModel {
  DecodeConfig config;
  CheckKind kind;
  std::vector<HostLayer> layers;
  std::unique_ptr<PackedPair> embedding, head;
  std::vector<float> final_norm, cosine, sine;
  std::unique_ptr<OnDevice<float>> device_norm, device_cosine, device_sine;
  std::vector<DecodeLayer> device_layers;
  DecodeModel device;
};

std::vector<float> RandomFloats(Random& random, int count, float mean, float spread) {
  std::vector<float> out(static_cast<size_t>(count));
  for (float& v : out) v = mean + spread * random.Normal();
  return out;
}

std::vector<__half> RandomCache(Random& random, const Case& c, int written) {
  std::vector<__half> out(static_cast<size_t>(c.kv_heads) * static_cast<size_t>(c.capacity) *
                          static_cast<size_t>(c.head_dim));
  for (size_t i = 0; i < out.size(); ++i) {
    const int position = static_cast<int>(i / static_cast<size_t>(c.head_dim)) % c.capacity;
    // What has not been written must not matter, whatever it is.
    out[i] = __float2half_rn(position < written ? random.Normal() : NAN);
  }
  return out;
}

void MakeCaches(const Case& c, int kv_bits, int written, Random& random, HostLayer* l, DecodeLayer* d) {
  for (int i = 0; i < 2; ++i) {
    const std::vector<__half> cache = RandomCache(random, c, written);
    if (kv_bits == 16) {
      l->caches[i] = std::make_unique<OnDevice<__half>>(cache);
      (i == 0 ? d->keys : d->values) = l->caches[i]->get();
    } else {
      const KvShape shape = {kv_bits, c.kv_heads, c.head_dim, c.capacity};
      l->quantized[i] = std::make_unique<OnDevice<uint8_t>>(QuantizeOnHost(shape, written, cache));
      (i == 0 ? d->quantized_keys : d->quantized_values) = l->quantized[i]->get();
    }
  }
}

// Inputs that are met twice, in INT8: a group of every matrix, where groups divide all widths.
int RepeatsOf(const Case& c, const CheckKind& kind) {
  if (!kind.rounded) return 0;
  const int widths[] = {c.hidden, c.heads * c.head_dim, c.ff};
  const bool divides = std::all_of(std::begin(widths), std::end(widths),
                                   [&](int width) { return width % kind.group == 0 && width > kind.group; });
  return divides ? kind.group : 0;
}

bool MakeLayer(const Case& c, const CheckKind& kind, int kv_bits, int written, uint64_t seed, HostLayer* l,
               DecodeLayer* d) {
  Random random(seed);
  const int q = c.heads * c.head_dim;
  const int kv = c.kv_heads * c.head_dim;
  const int repeats = RepeatsOf(c, kind);
  l->qkv =
      MakePair(kind, {RowOrder::kRotary, q + 2 * kv, c.head_dim, q + kv}, c.hidden, {q, kv, kv}, seed + 1, repeats);
  l->out = MakePair(kind, {RowOrder::kPlain, c.hidden, 0, 0}, q, {c.hidden}, seed + 2, repeats);
  l->gate_up = MakePair(kind, {RowOrder::kGated, 2 * c.ff, 0, 0}, c.hidden, {c.ff, c.ff}, seed + 3, repeats);
  l->down = MakePair(kind, {RowOrder::kPlain, c.hidden, 0, 0}, c.ff, {c.hidden}, seed + 4, repeats);
  if (!l->qkv || !l->out || !l->gate_up || !l->down) return false;
  const int rows[4] = {q + 2 * kv, c.hidden, 2 * c.ff, c.hidden};
  for (int i = 0; i < 4; ++i) {
    l->biases[i] = RandomFloats(random, rows[i], 0.0f, c.biases ? 0.5f : 0.0f);
    if (c.biases) l->device_biases[i] = std::make_unique<OnDevice<float>>(l->biases[i]);
  }
  for (int i = 0; i < 2; ++i) {
    l->norms[i] = RandomFloats(random, c.hidden, 1.0f, 0.3f);
    l->norms[i][static_cast<size_t>(c.hidden / 2)] = 30.0f;  // an outlier channel
    l->device_norms[i] = std::make_unique<OnDevice<float>>(l->norms[i]);
  }
  *d = {&l->qkv->device, &l->out->device, &l->gate_up->device, &l->down->device};
  if (c.biases) {
    d->qkv_bias = l->device_biases[0]->get();
    d->out_bias = l->device_biases[1]->get();
    d->gate_up_bias = l->device_biases[2]->get();
    d->down_bias = l->device_biases[3]->get();
  }
  d->attention_norm = l->device_norms[0]->get();
  d->mlp_norm = l->device_norms[1]->get();
  MakeCaches(c, kv_bits, written, random, l, d);
  return true;
}

std::unique_ptr<HostModel> MakeModel(const Case& c, const CheckKind& kind, int kv_bits, int written) {
  auto m = std::make_unique<HostModel>();
  m->config = {c.layers,
               c.hidden,
               c.heads,
               c.kv_heads,
               c.head_dim,
               c.ff,
               c.vocab,
               c.capacity,
               c.window,
               1e-5f,
               1.0f / std::sqrt(static_cast<float>(c.head_dim)),
               kind.int8_activations,
               0,
               false,
               kv_bits,
               {}};
  if (kind.rounded) m->config.rounding = {kind.group, kRoundStep, RepeatsOf(c, kind)};
  m->kind = kind;
  m->layers.resize(static_cast<size_t>(c.layers));
  m->device_layers.resize(static_cast<size_t>(c.layers));
  for (int i = 0; i < c.layers; ++i) {
    const auto at = static_cast<size_t>(i);
    if (!MakeLayer(c, kind, kv_bits, written, 1000 + 100 * at, &m->layers[at], &m->device_layers[at])) return nullptr;
  }
  const CheckKind fp16 = {"fp16", Format::kFp16, 0, false};
  m->embedding = MakePair(fp16, {RowOrder::kPlain, c.vocab, 0, 0}, c.hidden, {c.vocab}, 5);
  m->head = MakePair(fp16, {RowOrder::kPlain, c.vocab, 0, 0}, c.hidden, {c.vocab}, 6);
  Random random(77);
  m->final_norm = RandomFloats(random, c.hidden, 1.0f, 0.3f);
  for (int p = 0; p < c.capacity; ++p) {
    for (int i = 0; i < c.head_dim / 2; ++i) {
      const double angle = p * std::pow(10000.0, -2.0 * i / c.head_dim);
      m->cosine.push_back(static_cast<float>(std::cos(angle)));
      m->sine.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  m->device_norm = std::make_unique<OnDevice<float>>(m->final_norm);
  m->device_cosine = std::make_unique<OnDevice<float>>(m->cosine);
  m->device_sine = std::make_unique<OnDevice<float>>(m->sine);
  m->device = {m->config,
               m->device_layers.data(),
               &m->embedding->device,
               &m->head->device,
               m->device_norm->get(),
               m->device_cosine->get(),
               m->device_sine->get()};
  return m;
}

double NormFactor(const Vector& x) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  return 1 / std::sqrt(squares / static_cast<double>(x.size()) + static_cast<double>(1e-5f));
}

Vector Weighted(const Vector& x, const std::vector<float>& weight, double factor) {
  Vector out(x.size());
  for (size_t i = 0; i < x.size(); ++i) out[i] = x[i] * factor * static_cast<double>(weight[i]);
  return out;
}

Vector Product(const HostModel& m, const PackedPair& w, const std::vector<float>* bias, const Vector& x) {
  return HostProduct(m.kind, w.host, bias, x);
}

// Of the normed residual stream. Groups are rounded before the norm's factor is known, as FP32 has them.
Vector NormedProduct(const HostModel& m, const PackedPair& w, const std::vector<float>* bias, const Vector& x,
                     const std::vector<float>& weight) {
  const double factor = NormFactor(x);
  if (!m.kind.rounded) return HostProduct(m.kind, w.host, bias, Weighted(x, weight, factor));
  Vector weighted(x.size());
  for (size_t i = 0; i < x.size(); ++i) weighted[i] = static_cast<float>(x[i]) * weight[i];
  return HostProduct(m.kind, w.host, bias, weighted, factor);
}

Vector Logits(const HostModel& m, const Vector& residual) {
  const CheckKind fp16 = {"fp16", Format::kFp16, 0, false};
  return HostProduct(fp16, m.head->host, nullptr, Weighted(residual, m.final_norm, NormFactor(residual)));
}

void Rotate(const HostModel& m, int position, double* head) {
  const int half = m.config.head_dim / 2;
  for (int i = 0; i < half; ++i) {
    const auto at = static_cast<size_t>(position * half + i);
    const double cosine = static_cast<double>(m.cosine[at]);
    const double sine = static_cast<double>(m.sine[at]);
    const double a = head[i];
    const double b = head[i + half];
    head[i] = a * cosine - b * sine;
    head[i + half] = b * cosine + a * sine;
  }
}

// q, k, v rows of a token.
Vector Qkv(const HostModel& m, const HostLayer& l, const Vector& residual) {
  return NormedProduct(m, *l.qkv, &l.biases[0], residual, l.norms[0]);
}

// The first `heads` of x rotated.
Vector Rotated(const HostModel& m, int position, int heads, Vector x) {
  for (int h = 0; h < heads; ++h) Rotate(m, position, x.data() + h * m.config.head_dim);
  return x;
}

// Attention over caches [kv_heads][capacity][head_dim].
Vector Attention(const HostModel& m, const Vector& query, const std::vector<float>& keys,
                 const std::vector<float>& values, int position) {
  const DecodeConfig& c = m.config;
  const int from = c.window > 0 ? std::max(0, position - c.window + 1) : 0;
  Vector out(static_cast<size_t>(c.heads * c.head_dim));
  ParallelFor(c.heads, [&](int h) {
    const int64_t base = int64_t{h / (c.heads / c.kv_heads)} * c.capacity;
    Vector weights(static_cast<size_t>(position + 1));
    double maximum = -INFINITY;
    for (int p = from; p <= position; ++p) {
      double dot = 0;
      for (int d = 0; d < c.head_dim; ++d) {
        dot += query[static_cast<size_t>(h * c.head_dim + d)] *
               static_cast<double>(keys[static_cast<size_t>((base + p) * c.head_dim + d)]);
      }
      weights[static_cast<size_t>(p)] = dot / std::sqrt(static_cast<double>(c.head_dim));
      maximum = std::max(maximum, weights[static_cast<size_t>(p)]);
    }
    double sum = 0;
    for (int p = from; p <= position; ++p) {
      double& w = weights[static_cast<size_t>(p)];
      w = std::exp(w - maximum);
      sum += w;
    }
    for (int p = from; p <= position; ++p) {
      for (int d = 0; d < c.head_dim; ++d) {
        out[static_cast<size_t>(h * c.head_dim + d)] +=
            weights[static_cast<size_t>(p)] / sum *
            static_cast<double>(values[static_cast<size_t>((base + p) * c.head_dim + d)]);
      }
    }
  });
  return out;
}

Vector Gated(const HostModel& m, const HostLayer& l, const Vector& residual) {
  const Vector both = NormedProduct(m, *l.gate_up, &l.biases[2], residual, l.norms[1]);
  Vector out(both.size() / 2);
  for (size_t i = 0; i < out.size(); ++i) out[i] = both[i] / (1 + std::exp(-both[i])) * both[i + out.size()];
  return out;
}

Vector Sum(Vector a, const Vector& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

Vector Widen(const std::vector<float>& v) { return Vector(v.begin(), v.end()); }

// A vector that stands as the columns of the matrix that reads it, in the order of the model.
std::vector<float> Ordered(const PackedPair& reader, const std::vector<float>& v) {
  std::vector<float> out(v.size());
  for (size_t c = 0; c < v.size(); ++c) out[static_cast<size_t>(reader.host.gather[c])] = v[c];
  return out;
}

Vector EmbeddingOf(const HostModel& m, int token) {
  const float* row =
      m.embedding->host.values.data() + static_cast<size_t>(token) * static_cast<size_t>(m.config.hidden);
  return Vector(row, row + m.config.hidden);
}

std::vector<float> FromDevice(const float* data, int count) {
  return OnDevice<float>::ReadDevice(data, static_cast<size_t>(count));
}

// Keys (0, rotated) or values (1) that the device has, [kv_heads][capacity][head_dim].
std::vector<float> CacheValues(const HostModel& m, const HostLayer& l, int which) {
  std::vector<float> out;
  if (m.config.kv_bits == 16) {
    for (const __half v : l.caches[which]->Read()) out.push_back(__half2float(v));
    return out;
  }
  const KvShape shape = KvShapeOf(m.config);
  const std::vector<uint8_t> bytes = l.quantized[which]->Read();
  for (int h = 0; h < shape.kv_heads; ++h) {
    for (int p = 0; p < shape.capacity; ++p) {
      const HostRow row = GetRow(shape, h, p, bytes);
      Vector values;
      for (int d = 0; d < shape.head_dim; ++d) values.push_back(static_cast<double>(row.Value(d)));
      if (which == 0) Rotate(m, p, values.data());
      for (const double v : values) out.push_back(static_cast<float>(v));
    }
  }
  return out;
}

// What a step has written of its own position into quantized caches, from the key and value that it published.
void CheckOwn(const HostModel& m, const DecodeGraph& graph, int position, const Vector& expected,
              const std::string& name) {
  const KvShape shape = KvShapeOf(m.config);
  const int kv = shape.kv_heads * shape.head_dim;
  const std::vector<float> own = FromDevice(graph.own(), 2 * kv);
  ExpectNear(name + " key and value", own, expected, 1e-3);
  std::vector<__half> halves;  // without their marks
  for (const float v : own) halves.push_back(__float2half_rn(v));
  std::vector<HostRow> got;
  std::vector<HostRow> rows;
  for (int i = 0; i < 2 * shape.kv_heads; ++i) {
    got.push_back(GetRow(shape, i % shape.kv_heads, position, m.layers[0].quantized[i / shape.kv_heads]->Read()));
    rows.push_back(QuantizeOnHost(shape.bits, halves.data() + static_cast<size_t>(i) * shape.head_dim, shape.head_dim));
  }
  ExpectRow(name + " written", shape, got, rows, halves);
}

// Of the row a step has written into a cache.
Vector CacheRow(const std::vector<float>& cache, const DecodeConfig& c, int position) {
  Vector out;
  for (int h = 0; h < c.kv_heads; ++h) {
    for (int d = 0; d < c.head_dim; ++d) {
      out.push_back(
          static_cast<double>(cache[static_cast<size_t>((int64_t{h} * c.capacity + position) * c.head_dim + d)]));
    }
  }
  return out;
}

// Every op of one layer, each from what the device gave it.
void CheckOps(const HostModel& m, const DecodeGraph& graph, int token, int position, const std::string& name) {
  const DecodeConfig& c = m.config;
  const HostLayer& l = m.layers[0];
  // A value close to half a step may become another code on the host.
  const double limit = m.kind.int8_activations || m.kind.rounded ? 1e-3 : 2e-5;
  const int q = c.heads * c.head_dim;
  const Vector embedding = EmbeddingOf(m, token);
  const bool quantized = c.kv_bits != 16;  // then attention turns what it reads
  Vector qkv = Qkv(m, l, embedding);
  if (!quantized) qkv = Rotated(m, position, c.heads + c.kv_heads, qkv);
  const std::vector<float> query = FromDevice(graph.query(), q);
  const std::vector<float> keys = CacheValues(m, l, 0);
  const std::vector<float> values = CacheValues(m, l, 1);
  const auto at = [&](int i) { return qkv.begin() + i; };
  ExpectNear(name + " query", query, Vector(at(0), at(q)), limit);
  if (!quantized) {
    const int kv = c.kv_heads * c.head_dim;
    ExpectNear(name + " key", CacheRow(keys, c, position), Vector(at(q), at(q + kv)), 1e-3);
    ExpectNear(name + " value", CacheRow(values, c, position), Vector(at(q + kv), qkv.end()), 1e-3);
  } else {
    CheckOwn(m, graph, position, Vector(at(q), qkv.end()), name);
  }
  const std::vector<float> attended = Ordered(*l.out, FromDevice(graph.attended(), q));
  const Vector turned = quantized ? Rotated(m, position, c.heads, Widen(query)) : Widen(query);
  ExpectNear(name + " attention", attended, Attention(m, turned, keys, values, position), 2e-5);
  const Vector middle = Sum(embedding, Product(m, *l.out, &l.biases[1], Widen(attended)));
  const std::vector<float> gated = Ordered(*l.down, FromDevice(graph.gated(), c.ff));
  ExpectNear(name + " gated", gated, Gated(m, l, middle),
             m.kind.rounded            ? 5e-2
             : m.kind.int8_activations ? 3e-3
                                       : 5e-5);
  const std::vector<float> residual = FromDevice(graph.residual(), c.hidden);
  ExpectNear(name + " residual", residual, Sum(middle, Product(m, *l.down, &l.biases[3], Widen(gated))), limit);
  const std::vector<float> logits = FromDevice(graph.logits(), c.vocab);
  ExpectNear(name + " logits", logits, Logits(m, Widen(residual)), 2e-5);
}

// All layers on the host alone; the keys and values of this position enter the host's copy of the caches. Quantized
// ones stay as the device has written them: the last bit of a value may decide on a code.
Vector WholeModel(const HostModel& m, int token, int position) {
  const DecodeConfig& c = m.config;
  Vector residual = EmbeddingOf(m, token);
  for (const HostLayer& l : m.layers) {
    const Vector qkv = Rotated(m, position, c.heads + c.kv_heads, Qkv(m, l, residual));
    std::vector<float> caches[2] = {CacheValues(m, l, 0), CacheValues(m, l, 1)};
    const int q = c.heads * c.head_dim;
    for (int i = 0; c.kv_bits == 16 && i < 2 * c.kv_heads * c.head_dim; ++i) {
      const int row = i % (c.kv_heads * c.head_dim);
      const int64_t head = row / c.head_dim;
      caches[i / (c.kv_heads * c.head_dim)]
            [static_cast<size_t>((head * c.capacity + position) * c.head_dim + row % c.head_dim)] =
                __half2float(__float2half_rn(static_cast<float>(qkv[static_cast<size_t>(q + i)])));
    }
    const Vector attended = Attention(m, qkv, caches[0], caches[1], position);
    residual = Sum(residual, Product(m, *l.out, &l.biases[1], attended));
    residual = Sum(residual, Product(m, *l.down, &l.biases[3], Gated(m, l, residual)));
  }
  return Logits(m, residual);
}

void CheckStep(const Case& c, const CheckKind& kind, int position, int kv_bits = 16) {
  const std::string name = std::string(c.name) + " " + kind.name +
                           (kv_bits == 16 ? "" : " kv" + std::to_string(kv_bits)) + " at " + std::to_string(position);
  const auto m = MakeModel(c, kind, kv_bits, position);
  if (m == nullptr) return;
  int32_t* published = nullptr;
  const size_t published_bytes = static_cast<size_t>(c.capacity + 1) * sizeof(int32_t);
  if (!ExpectOk(name, FromCuda(cudaHostAlloc(&published, published_bytes, cudaHostAllocMapped), "mapped memory")))
    return;
  const std::unique_ptr<int32_t, decltype(&cudaFreeHost)> owner(published, &cudaFreeHost);
  std::memset(published, 0xFF, published_bytes);
  m->device.published = published;
  std::unique_ptr<DecodeGraph> graph;
  if (!ExpectOk(name, DecodeGraph::Create(m->device, nullptr, &graph))) return;
  const int token = c.vocab - 1;
  if (!ExpectOk(name, graph->Set(token, position)) || !ExpectOk(name, graph->Step())) return;
  int32_t next = -1;
  if (!ExpectOk(name, graph->Read(&next))) return;
  const std::vector<float> logits = FromDevice(graph->logits(), c.vocab);
  const auto best = static_cast<int>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  Report(next == best, name + " argmax", next, best);
  Report(published[position + 1] == next, name + " published", published[position + 1], next);
  if (c.layers == 1) {
    CheckOps(*m, *graph, token, position, name);
  } else {
    ExpectNear(name + " whole model", logits, WholeModel(*m, token, position),
               kind.rounded            ? 1e-1
               : kind.int8_activations ? 2e-2
                                       : 5e-4);
  }
  // The same step again, over poisoned activations, gives the same bits. What lies there must have the other mark than
  // the first layer's.
  const int poison = c.layers % 2 == 0 ? 0xFE : 0xFF;
  for (const float* buffer : {graph->query(), graph->attended()}) {
    cudaMemset(const_cast<float*>(buffer), poison, sizeof(float) * static_cast<size_t>(c.heads * c.head_dim));
  }
  cudaMemset(const_cast<float*>(graph->gated()), poison, sizeof(float) * static_cast<size_t>(c.ff));
  cudaMemset(graph->mutable_logits(), 0xFF, sizeof(float) * static_cast<size_t>(c.vocab));
  if (!ExpectOk(name, graph->Set(token, position)) || !ExpectOk(name, graph->Step()) ||
      !ExpectOk(name, graph->Read(&next))) {
    return;
  }
  const std::vector<float> again = FromDevice(graph->logits(), c.vocab);
  Report(std::memcmp(again.data(), logits.data(), logits.size() * 4) == 0, name + " repeats", 0, 0);
}

// A step past the capacity is refused, not run; the graph works on afterwards.
void CheckRefusal(const CheckKind& kind) {
  const Case c = {"full cache", 1, 64, 2, 1, 32, 88, 100, 4, 0, false};
  const auto m = MakeModel(c, kind, 16, 4);
  std::unique_ptr<DecodeGraph> graph;
  if (m == nullptr || !ExpectOk(c.name, DecodeGraph::Create(m->device, nullptr, &graph))) return;
  int32_t next = 0;
  bool right = graph->Set(1, 3).ok() && graph->Step().ok() && graph->Read(&next).ok();
  right = right && graph->Step().ok() && !graph->Read(&next).ok();
  right = right && graph->Set(1, 2).ok() && graph->Step().ok() && graph->Read(&next).ok();
  right = right && !graph->Set(1, 4).ok() && !graph->Set(100, 0).ok();
  Report(right, std::string("a step past the capacity is refused ") + kind.name, 0, 0);
}

constexpr Case kCases[] = {
    {"tiny", 1, 64, 2, 1, 32, 88, 100, 64, 0, false},
    {"smollm2", 1, 576, 9, 3, 64, 1536, 1003, 1300, 0, false},
    {"odd", 1, 200, 5, 5, 48, 328, 333, 300, 0, true},
    {"window", 1, 512, 16, 4, 128, 1000, 600, 4200, 100, false},
    {"qwen2", 1, 896, 14, 2, 64, 4864, 700, 400, 0, true},
    {"wide heads", 1, 320, 2, 1, 256, 640, 128, 300, 0, false},
    {"80 dims", 1, 320, 4, 2, 80, 640, 128, 4200, 0, false},
    {"16 dims", 1, 64, 4, 2, 16, 96, 128, 128, 0, false},
    {"16 dims, two layers", 2, 64, 4, 2, 16, 96, 128, 128, 0, false},
    {"two layers", 3, 576, 9, 3, 64, 1536, 1003, 300, 0, true},
    {"whole groups", 1, 512, 4, 2, 128, 1024, 333, 300, 0, true},
};

}  // namespace

void CheckDecode(Depth depth) {
  for (const CheckKind& kind : kCheckKinds) {
    for (const Case& c : kCases) {
      if (depth == Depth::kTiny && &c != &kCases[0] && &c != &kCases[2]) continue;
      CheckStep(c, kind, 0);
      CheckStep(c, kind, std::min(c.capacity - 1, 63));
      if (depth != Depth::kQuick) CheckStep(c, kind, c.capacity - 1);
    }
    CheckRefusal(kind);
  }
  if (depth != Depth::kWhole) return;
  const Case llama = {"llama-2-7b layer", 1, 4096, 32, 32, 128, 11008, 2000, 1024, 0, false};
  const Case mistral = {"mistral layer", 1, 4096, 32, 8, 128, 14336, 2000, 1024, 512, false};
  const Case thirteen = {"13b layer", 1, 5120, 40, 40, 128, 13824, 2000, 520, 0, false};
  for (const int kind : {0, 1, 2, 4, 8, 11}) CheckStep(llama, kCheckKinds[kind], 1000);
  CheckStep(mistral, kCheckKinds[4], 1000);
  CheckStep(thirteen, kCheckKinds[6], 500);
}

void CheckKvDecode(Depth depth) {
  // Three query heads to a KV head, capacity no multiple of four: for the kinds of weights that share their attention.
  const Case shared = {"shared", 1, 192, 9, 3, 64, 328, 333, 301, 90, false};
  const Case own_heads = {"own heads", 1, 512, 8, 8, 128, 1000, 600, 1203, 0, false};
  for (const int bits : {8, 4}) {
    for (const CheckKind& kind : kCheckKinds) {
      if (kind.zeros && !(kind.rounded && bits == 4)) continue;
      // Attention at position 0 gives codes times a scale; quantized to INT8 activations they may be exact ties, which
      // the reference need not round the same way.
      const int first = kind.int8_activations ? 1 : 0;
      for (const int position : {first, 5, shared.capacity - 1}) CheckStep(shared, kind, position, bits);
      if (depth == Depth::kTiny || (kind.format != Format::kFp16 && kind.group != 128)) continue;
      for (const Case& c : kCases) {
        CheckStep(c, kind, 0, bits);
        CheckStep(c, kind, std::min(c.capacity - 1, 63), bits);
        CheckStep(c, kind, c.capacity - 1, bits);
      }
      CheckStep(own_heads, kind, own_heads.capacity - 1, bits);
    }
  }
}

}  // namespace uaqf::cuda
