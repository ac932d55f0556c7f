#include "server/core/active_job.h"

#include <algorithm>

namespace uaqf::core {

ActiveJob::ActiveJob(JobId job, JobSpec job_spec, std::int32_t prompts, std::int64_t create_wall)
    : id(std::move(job)), spec(std::move(job_spec)), prompt_count(prompts), create_wall_ns(create_wall) {
  const std::size_t n = spec.variants.size();
  queues.resize(n);
  variants.resize(n);
  load_failures.resize(n);
  load_errors.resize(n);
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
  if (spec.timing.output_length == OutputLength::kMatched) baseline_ = VariantIndex(kBaselineVariant);
  if (baseline_ >= 0) {
    const std::int32_t block = spec.timing.block_prompts;
    const std::int32_t blocks = (prompt_count + block - 1) / block;
    lengths_.assign(prompt_count, kLengthUnknown);
    missing_.assign(blocks, block);
    missing_.back() = prompt_count - (blocks - 1) * block;
    waiting_.resize(blocks);
    blocks_missing_ = blocks;
  }
  for (const Chunk& chunk : chunks) {
    if (!Open(chunk.state)) continue;
    ++open_chunks_;
    ++open_per_variant_[chunk.variant];
    if (chunk.state == ChunkState::kLeased) {
      ++leased_chunks_;
    } else {
      Enqueue(chunk);
    }
  }
}

bool ActiveJob::Gated(const Chunk& chunk) const {
  return baseline_ >= 0 && chunk.kind == ChunkKind::kTiming && missing_[BlockOf(chunk)] > 0;
}

void ActiveJob::Enqueue(const Chunk& chunk) {
  if (Gated(chunk)) {
    waiting_[BlockOf(chunk)].push_back(chunk.index);
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
  --open_chunks_;
  --open_per_variant_[chunk.variant];
  failed_on_.erase(index);
}

std::vector<Chunk> ActiveJob::Split(std::int32_t index) {
  const Chunk parent = chunks[index];
  const std::vector<WorkerId> failed = FailedOn(index);
  Finish(index, ChunkState::kSplit);
  std::vector<Chunk> halves;
  for (int half = 0; half < 2; ++half) {
    Chunk chunk = parent;
    chunk.index = static_cast<std::int32_t>(chunks.size());
    chunk.state = ChunkState::kPending;
    chunk.first = parent.first + (half == 0 ? 0 : parent.count / 2);
    chunk.count = half == 0 ? parent.count / 2 : parent.count - parent.count / 2;
    chunk.epoch = 0;
    chunk.failures = spec.attempt_limit - 1;
    chunk.tainted_runs = 0;
    chunks.push_back(chunk);
    halves.push_back(chunk);
    failed_on_[chunk.index] = failed;
    ++open_chunks_;
    ++open_per_variant_[chunk.variant];
    Enqueue(chunk);
  }
  ++variants[parent.variant].tally.chunks_total;
  dirty.insert(parent.variant);
  return halves;
}

void ActiveJob::SetBaselineLength(std::int32_t prompt, std::int32_t tokens) {
  if (baseline_ < 0 || prompt < 0 || prompt >= prompt_count || lengths_[prompt] != kLengthUnknown) return;
  lengths_[prompt] = tokens;
  const std::int32_t block = prompt / spec.timing.block_prompts;
  if (--missing_[block] > 0) return;
  --blocks_missing_;
  std::vector<std::int32_t> freed;
  freed.swap(waiting_[block]);
  for (std::int32_t index : freed) {
    if (chunks[index].state == ChunkState::kPending) Enqueue(chunks[index]);
  }
}

void ActiveJob::AbandonPending(std::int32_t variant) {
  for (Chunk& chunk : chunks) {
    if (chunk.variant != variant || chunk.state != ChunkState::kPending) continue;
    chunk.state = ChunkState::kAbandoned;
    --open_chunks_;
    --open_per_variant_[variant];
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
    const std::int32_t length = lengths_[chunk.first + i];
    if (length >= 0) tokens[i] = std::clamp(length, 1, spec.timing.max_output_tokens);
  }
  return tokens;
}

}  // namespace uaqf::core
