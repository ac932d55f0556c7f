#include "server/core/active_job.h"

#include <algorithm>

#include "server/core/divergence.h"
#include "server/core/plan.h"

namespace uaqf::core {

ActiveJob::ActiveJob(JobId job, JobSpec job_spec, std::int32_t prompts, std::int64_t create_wall)
    : id(std::move(job)), spec(std::move(job_spec)), prompt_count(prompts), create_wall_ns(create_wall) {
  const std::size_t n = spec.variants.size();
  queues.resize(n);
  variants.resize(n);
  load_failures.resize(n);
  load_errors.resize(n);
  timed_by.resize(n);
  open_per_variant_.resize(n);
}

ActiveJob::ActiveJob(JobSnapshot snapshot)
    : ActiveJob(std::move(snapshot.id), std::move(snapshot.spec), snapshot.prompt_count, snapshot.create_wall_ns) {
  state = snapshot.state;
  start_wall_ns = snapshot.start_wall_ns;
  device_kind = std::move(snapshot.device_kind);
  if (!snapshot.planned) return;
  planned = true;
  survey = std::move(snapshot.survey);
  chunks = std::move(snapshot.chunks);
  variants = std::move(snapshot.variants);
  device_time_ns = snapshot.device_time_ns;
  Index();
  for (const auto& [prompt, tokens] : snapshot.baseline_lengths) SetBaselineLength(prompt, tokens);
}

void ActiveJob::SetPlan(std::vector<Chunk> plan) {
  planned = true;
  chunks = std::move(plan);
  for (const Chunk& chunk : chunks) {
    ++variants[chunk.variant].tally.chunks_total;
    variants[chunk.variant].tally.records_total += chunk.count;
    dirty.insert(chunk.variant);
  }
  Index();
}

void ActiveJob::Index() {
  order = ItemOrder(spec, CountItems(spec, prompt_count, survey));
  if (spec.timing.output_length == OutputLength::kMatched) baseline_ = VariantIndex(kBaselineVariant);
  if (baseline_ >= 0) {
    const std::int32_t block = spec.timing.block_prompts;
    const std::int32_t blocks = (prompt_count + block - 1) / block;
    lengths_.assign(prompt_count, kLengthUnknown);
    length_gates_.assign(blocks, Gate{block, {}});
    length_gates_.back().missing = prompt_count - (blocks - 1) * block;
    blocks_missing_ = blocks;
  }
  for (const Chunk& chunk : chunks) IndexSummary(chunk);
  IndexRounds();
  for (const Chunk& chunk : chunks) {
    if (!Open(chunk.state)) continue;
    CountOpen(chunk, 1);
    if (chunk.state == ChunkState::kLeased) {
      ++leased_chunks_;
    } else {
      Enqueue(chunk);
    }
  }
}

void ActiveJob::IndexRounds() {
  std::int32_t groups = 1;
  for (const Chunk& chunk : chunks) groups = std::max(groups, chunk.group + 1);
  rounds_ = Rounds(spec, prompt_count, survey, groups);
  open_per_round_.assign(static_cast<std::size_t>(rounds_.count()), 0);
  // Those behind the plan stand where the chunk stood that they come from.
  std::vector<const Chunk*> planned;
  for (const Chunk& chunk : chunks) {
    if (chunk.index == chunk.position) planned.push_back(&chunk);
  }
  const bool turn_by_turn = std::is_sorted(planned.begin(), planned.end(), [&](const Chunk* a, const Chunk* b) {
    return rounds_.TurnOf(*a) < rounds_.TurnOf(*b);
  });
  open_per_turn_.assign(static_cast<std::size_t>(turn_by_turn ? rounds_.turns() : 1),
                        std::vector<std::int64_t>(variants.size()));
}

ActiveJob::SummaryKey ActiveJob::KeyOf(const Chunk& chunk) {
  // Halves of a split chunk stay within its block.
  return {chunk.summary_k, chunk.first / kWindowsPerChunk};
}

void ActiveJob::IndexSummary(const Chunk& chunk) {
  if (chunk.kind != ChunkKind::kSummary) return;
  Gate& gate = summary_gates_[KeyOf(chunk)];
  gate.given_up |= chunk.state == ChunkState::kQuarantined || chunk.state == ChunkState::kAbandoned;
  if (!Open(chunk.state)) return;
  summaries_missing_ += gate.missing == 0;
  gate.missing += chunk.count;
}

ActiveJob::Gate* ActiveJob::GateOf(const Chunk& chunk) {
  if (chunk.kind == ChunkKind::kTiming && baseline_ >= 0) {
    Gate& gate = length_gates_[BlockOf(chunk)];
    return gate.missing > 0 ? &gate : nullptr;
  }
  if (chunk.kind != ChunkKind::kDivergence || chunk.summary_k == 0) return nullptr;
  const auto found = summary_gates_.find(KeyOf(chunk));
  return found != summary_gates_.end() && found->second.missing > 0 ? &found->second : nullptr;
}

void ActiveJob::Pass(Gate* gate, std::int32_t items) {
  gate->missing -= items;
  if (gate->missing > 0) return;
  std::vector<std::int32_t> freed;
  freed.swap(gate->waiting);
  for (std::int32_t index : freed) {
    if (chunks[index].state == ChunkState::kPending) Enqueue(chunks[index]);
  }
}

void ActiveJob::CountOpen(const Chunk& chunk, int by) {
  open_chunks_ += by;
  open_per_variant_[chunk.variant] += by;
  open_per_turn_[TurnOf(chunk)][chunk.variant] += by;
  const std::int32_t round = rounds_.RoundOf(chunk);
  if (round >= 0) open_per_round_[static_cast<std::size_t>(round)] += by;
}

std::int32_t ActiveJob::RoundsDone() {
  while (rounds_done_ < rounds_.count() && open_per_round_[static_cast<std::size_t>(rounds_done_)] == 0) ++rounds_done_;
  return rounds_done_;
}

void ActiveJob::Close(const Chunk& chunk) {
  CountOpen(chunk, -1);
  // The halves of a split chunk are open in its place.
  if (chunk.kind != ChunkKind::kSummary || chunk.state == ChunkState::kSplit) return;
  Gate& gate = summary_gates_[KeyOf(chunk)];
  gate.given_up |= chunk.state != ChunkState::kDone;
  summaries_missing_ -= gate.missing == chunk.count;
  Pass(&gate, chunk.count);
}

void ActiveJob::Enqueue(const Chunk& chunk) {
  if (Gate* gate = GateOf(chunk); gate != nullptr) {
    gate->waiting.push_back(chunk.index);
    return;
  }
  Queue& queue = queues[chunk.variant];
  auto& target = failed_on_.contains(chunk.index) ? queue.retry : queue.fresh;
  target.insert({chunk.position, chunk.index});
}

std::int64_t ActiveJob::Lease(std::int32_t index) {
  Chunk& chunk = chunks[index];
  Queue& queue = queues[chunk.variant];
  if (queue.fresh.erase({chunk.position, index}) == 0) queue.retry.erase({chunk.position, index});
  chunk.state = ChunkState::kLeased;
  ++leased_chunks_;
  return ++chunk.epoch;
}

void ActiveJob::Release(std::int32_t index) {
  chunks[index].state = ChunkState::kPending;
  --leased_chunks_;
  Enqueue(chunks[index]);
}

void ActiveJob::Finish(std::int32_t index, ChunkState end) {
  Chunk& chunk = chunks[index];
  chunk.state = end;
  --leased_chunks_;
  Close(chunk);
  failed_on_.erase(index);
}

Chunk ActiveJob::Append(Chunk chunk) {
  chunk.index = static_cast<std::int32_t>(chunks.size());
  chunk.state = ChunkState::kPending;
  chunk.epoch = 0;
  chunk.tainted_runs = 0;
  chunk.flagged = false;
  chunks.push_back(chunk);
  CountOpen(chunk, 1);
  return chunk;
}

std::vector<Chunk> ActiveJob::Split(std::int32_t index) {
  const Chunk parent = chunks[index];
  const std::vector<WorkerId> failed = FailedOn(index);
  Finish(index, ChunkState::kSplit);
  std::vector<Chunk> halves;
  for (int half = 0; half < 2; ++half) {
    Chunk chunk = parent;
    chunk.first = parent.first + (half == 0 ? 0 : parent.count / 2);
    chunk.count = half == 0 ? parent.count / 2 : parent.count - parent.count / 2;
    chunk.failures = spec.attempt_limit - 1;
    halves.push_back(Append(chunk));
    failed_on_[halves.back().index] = failed;
    Enqueue(halves.back());
  }
  ++variants[parent.variant].tally.chunks_total;
  dirty.insert(parent.variant);
  return halves;
}

std::vector<Chunk> ActiveJob::Grow(std::int32_t index) {
  Chunk chunk = chunks[index];
  const std::int32_t baseline = VariantIndex(kBaselineVariant);
  chunk.summary_k = NextSummaryK(chunk.summary_k, spec.quality.context_tokens);
  if (chunk.summary_k == 0 || variants[baseline].state == VariantState::kFailed) return {};
  chunk.failures = 0;
  const auto known = summary_gates_.find(KeyOf(chunk));
  if (known != summary_gates_.end() && known->second.given_up) return {};
  std::vector<Chunk> added;
  if (known == summary_gates_.end()) {
    // Of the whole block, for whoever asks next.
    Chunk summary = chunk;
    summary.kind = ChunkKind::kSummary;
    summary.variant = baseline;
    summary.group = 0;
    summary.first = KeyOf(chunk).second * kWindowsPerChunk;
    summary.count = std::min(kWindowsPerChunk, WindowCount(spec, survey) - summary.first);
    added.push_back(Append(summary));
    IndexSummary(added.back());
  }
  added.push_back(Append(chunk));
  for (const Chunk& grown : added) {
    Enqueue(grown);
    VariantStatus& status = variants[grown.variant];
    ++status.tally.chunks_total;
    status.tally.records_total += grown.count;
    // The baseline may have had nothing left to do.
    if (status.state == VariantState::kDone) status.state = VariantState::kPending;
    dirty.insert(grown.variant);
  }
  return added;
}

void ActiveJob::SetBaselineLength(std::int32_t prompt, std::int32_t tokens) {
  if (baseline_ < 0 || prompt < 0 || prompt >= prompt_count || lengths_[prompt] != kLengthUnknown) return;
  lengths_[prompt] = tokens;
  Gate& gate = length_gates_[order.PlaceOf(ChunkKind::kGeneration, prompt) / spec.timing.block_prompts];
  blocks_missing_ -= gate.missing == 1;
  Pass(&gate, 1);
}

void ActiveJob::AbandonPending(std::int32_t variant) {
  for (Chunk& chunk : chunks) {
    if (chunk.variant != variant || chunk.state != ChunkState::kPending) continue;
    chunk.state = ChunkState::kAbandoned;
    Close(chunk);
  }
  queues[variant] = Queue{};
}

void ActiveJob::NoteFailure(std::int32_t chunk, const WorkerId& worker) {
  std::vector<WorkerId>& failed = failed_on_[chunk];
  if (std::find(failed.begin(), failed.end(), worker) == failed.end()) failed.push_back(worker);
}

std::int32_t ActiveJob::VariantIndex(const std::string& name) const {
  const auto it = std::find(spec.variants.begin(), spec.variants.end(), name);
  return it == spec.variants.end() ? -1 : static_cast<std::int32_t>(it - spec.variants.begin());
}

std::int32_t ActiveJob::TwinOf(std::int32_t variant) const {
  const std::string& name = spec.variants[variant];
  if (name == kBaselineVariant) return VariantIndex(kBaselineTwin);
  return name == kBaselineTwin ? VariantIndex(kBaselineVariant) : -1;
}

const std::vector<WorkerId>& ActiveJob::FailedOn(std::int32_t chunk) const {
  static const auto* const kNobody = new std::vector<WorkerId>();
  const auto it = failed_on_.find(chunk);
  return it == failed_on_.end() ? *kNobody : it->second;
}

std::vector<std::int32_t> ActiveJob::OutputTokens(const Chunk& chunk) const {
  if (chunk.kind != ChunkKind::kTiming || spec.timing.output_length == OutputLength::kNatural) return {};
  std::vector<std::int32_t> tokens(chunk.count, spec.timing.max_output_tokens);
  if (baseline_ < 0) return tokens;
  for (std::int32_t i = 0; i < chunk.count; ++i) {
    // A prompt the baseline could not generate for is timed at full length, the same for every variant; one it answered
    // with nothing still costs the first token.
    const std::int32_t length = lengths_[order.ItemAt(chunk.kind, chunk.first + i)];
    if (length >= 0) tokens[i] = std::clamp(length, 1, spec.timing.max_output_tokens);
  }
  return tokens;
}

}  // namespace uaqf::core
