// How tight the bound of the divergence is for so many bytes of a position:
//
//   divergence_curve MODEL VARIANT TEXT [POSITIONS [WINDOW]]
//
// Scores the text with fp16 and with the variant, and prints one line of JSON for each k: bytes of a position, the
// width of the bound (mean, 95th percentile, greatest, nats), and how many positions' full value in double it contains.
// The last line is the k that each position needs where k grows until the bound is narrower than 1e-3 nats.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/engine/engine.h"
#include "worker/evaluate/divergence.h"
#include "worker/evaluate/open_model.h"
#include "worker/evaluate/summary.h"

namespace {

using uaqf::evaluate::BoundDivergence;
using uaqf::evaluate::Summarize;
using uaqf::evaluate::SummaryReader;
using uaqf::evaluate::SummaryWriter;
using Rows = std::vector<std::vector<float>>;

constexpr double kTight = 1e-3;
constexpr int32_t kFirstK = 4;

// Four times as many, at most the whole vocabulary.
int32_t GrowK(int32_t k, int64_t vocabulary) {
  return static_cast<int32_t>(std::min<int64_t>(int64_t{4} * k, vocabulary));
}

// What a position is on the other side, and the bytes that it takes on the way.
struct Sent {
  uaqf::evaluate::TopLogProbs position;
  double bytes = 0;
};

Sent Send(const std::vector<float>& logits, int32_t k) {
  const std::vector<int32_t> window = {0, 0};
  const auto vocabulary = static_cast<int64_t>(logits.size());
  SummaryWriter writer(window, vocabulary, k);
  writer.Add(Summarize(logits, k));
  const std::string bytes = writer.Take();
  auto reader = SummaryReader::Open(bytes);
  auto position = reader.ok() ? reader->Next() : reader.status();
  if (!position.ok()) std::abort();
  return {*std::move(position), static_cast<double>(bytes.size() - SummaryWriter(window, vocabulary, k).Take().size())};
}

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

absl::StatusOr<Rows> LogitsOf(const uaqf::evaluate::OpenModel& model, const std::string& name,
                              std::span<const int32_t> ids, size_t window, size_t positions) {
  const auto variant = uaqf::quantize::FindVariant(name);
  if (!variant.ok()) return variant.status();
  auto engine =
      uaqf::engine::Engine::Create(model.checkpoint(), *variant, {.max_sequence_tokens = static_cast<int64_t>(window)});
  if (!engine.ok()) return engine.status();
  Rows rows;
  for (size_t begin = 0; rows.size() < positions && begin + window <= ids.size(); begin += window) {
    auto reader = (*engine)->ReadLogits(ids.subspan(begin, window));
    if (!reader.ok()) return reader.status();
    while (rows.size() < positions) {
      const auto row = (*reader)->Next();
      if (absl::IsOutOfRange(row.status())) break;
      if (!row.ok()) return row.status();
      rows.emplace_back(row->begin(), row->end());
    }
  }
  if (rows.empty()) return absl::InvalidArgumentError("the text is shorter than one window");
  return rows;
}

void PrintWidths(const Rows& p, const Rows& q, int32_t k) {
  std::vector<double> widths;
  std::vector<double> bytes;
  int contained = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const Sent sent = Send(p[i], k);
    bytes.push_back(sent.bytes);
    const auto bound = BoundDivergence(sent.position, q[i]);
    const double value = uaqf::evaluate::Divergence(p[i], q[i]);
    contained += bound.lower <= value && value <= bound.upper ? 1 : 0;
    widths.push_back(bound.width());
  }
  std::sort(widths.begin(), widths.end());
  std::printf(
      "{\"k\": %d, \"bytes_per_position\": %.0f, \"width_mean\": %.3g, \"width_p95\": %.3g, \"width_max\": %.3g, "
      "\"contained\": %d, \"positions\": %zu}\n",
      k, Mean(bytes), Mean(widths), widths[widths.size() * 95 / 100], widths.back(), contained, p.size());
}

void PrintGrown(const Rows& p, const Rows& q) {
  const auto vocabulary = static_cast<int64_t>(p.front().size());
  std::vector<double> bytes;
  std::vector<double> middle;
  std::vector<double> exact;
  for (size_t i = 0; i < p.size(); ++i) {
    int32_t k = kFirstK;
    Sent sent = Send(p[i], k);
    auto bound = BoundDivergence(sent.position, q[i]);
    while (bound.width() > kTight && k < vocabulary) {
      k = GrowK(k, vocabulary);
      sent = Send(p[i], k);
      bound = BoundDivergence(sent.position, q[i]);
    }
    bytes.push_back(sent.bytes);
    middle.push_back((bound.lower + bound.upper) / 2);
    exact.push_back(uaqf::evaluate::Divergence(p[i], q[i]));
  }
  std::printf(
      "{\"grown_to_width\": %g, \"mean_bytes_per_position\": %.0f, \"mean_kl_middle\": %.6f, "
      "\"mean_kl_exact\": %.6f}\n",
      kTight, Mean(bytes), Mean(middle), Mean(exact));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: divergence_curve MODEL VARIANT TEXT [POSITIONS [WINDOW]]\n");
    return 2;
  }
  const auto positions = static_cast<size_t>(argc > 4 ? std::atol(argv[4]) : 1000);
  const auto window = static_cast<size_t>(argc > 5 ? std::atol(argv[5]) : 512);
  std::ifstream file(argv[3]);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto model = uaqf::evaluate::OpenModel::Open(argv[1]);
  const auto ids = model.ok() ? (*model)->EncodeText(text) : model.status();
  const auto p = ids.ok() ? LogitsOf(**model, "fp16", *ids, window, positions) : ids.status();
  const auto q = p.ok() ? LogitsOf(**model, argv[2], *ids, window, positions) : p.status();
  if (!q.ok()) {
    std::fprintf(stderr, "%s\n", std::string(q.status().message()).c_str());
    return 1;
  }
  const auto vocabulary = static_cast<int64_t>(p->front().size());
  for (int32_t k = kFirstK; true; k = GrowK(k, vocabulary)) {
    PrintWidths(*p, *q, k);
    if (k == vocabulary) break;
  }
  PrintGrown(*p, *q);
}
