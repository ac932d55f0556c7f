// Which variants a device holds together: by estimates of the workers, since nothing else is known before a load.
#include <algorithm>
#include <set>

#include "server/core/scheduler_impl.h"

namespace uaqf::core {
namespace {

// Of all KV caches that hosting a variant of the job takes.
std::int64_t KvTokens(const ActiveJob& job) {
  return std::int64_t{MaxSequenceTokens(job.spec, job.survey)} * MaxBatch(job.spec);
}

}  // namespace

const ModelInfo* WorkerEntry::FindModel(const std::string& name) const {
  const auto it = std::find_if(models.begin(), models.end(), [&](const ModelInfo& info) { return info.model == name; });
  return it == models.end() ? nullptr : &*it;
}

const VariantInfo* WorkerEntry::FindVariant(const std::string& of_model, const std::string& name) const {
  const ModelInfo* info = FindModel(of_model);
  if (info == nullptr) return nullptr;
  const auto it = std::find_if(info->variants.begin(), info->variants.end(),
                               [&](const VariantInfo& known) { return IsVariant(known, name); });
  return it == info->variants.end() ? nullptr : &*it;
}

std::int64_t WorkerEntry::NeedBytes(const std::string& of_model, const std::string& name,
                                    std::int64_t kv_tokens) const {
  const VariantInfo* info = FindVariant(of_model, name);
  if (info == nullptr || info->resident_bytes <= 0) return 0;
  return info->resident_bytes + info->kv_bytes_per_token * kv_tokens;
}

HostingRoom Scheduler::Impl::RoomFor(const ActiveJob& job) const {
  std::set<std::string> devices;
  for (const auto& [id, worker] : workers_) {
    if (worker.Live() && worker.FindModel(job.spec.model) != nullptr) devices.insert(worker.device.id);
  }
  return devices.size() == 1 ? LeastRoomFor(job) : HostingRoom{};
}

HostingRoom Scheduler::Impl::LeastRoomFor(const ActiveJob& job) const {
  HostingRoom room;
  const std::int64_t tokens = KvTokens(job);
  room.need_bytes.resize(job.spec.variants.size());
  for (const auto& [id, worker] : workers_) {
    if (!worker.Live() || worker.FindModel(job.spec.model) == nullptr) continue;
    ++room.workers;
    const std::int64_t memory = worker.device.memory_bytes;
    if (memory > 0 && (room.memory_bytes == 0 || memory < room.memory_bytes)) room.memory_bytes = memory;
    for (std::size_t v = 0; v < room.need_bytes.size(); ++v) {
      const std::int64_t need = worker.NeedBytes(job.spec.model, job.spec.variants[v], tokens);
      room.need_bytes[v] = std::max(room.need_bytes[v], need);
    }
  }
  return room;
}

bool Scheduler::Impl::HasRoom(const ActiveJob& job, std::int32_t variant, const WorkerEntry& worker) const {
  if (worker.device.memory_bytes <= 0) return true;
  std::int64_t held = 0;
  for (const auto& [id, other] : workers_) {
    if (&other == &worker || !other.connected || other.device.id != worker.device.id) continue;
    // Until it has dropped the one and loaded the other, either may be in memory.
    const std::int64_t hosted =
        other.NeedBytes(other.hosted.model, other.hosted.variant,
                        std::int64_t{other.hosted.max_sequence_tokens} * other.hosted.max_batch);
    const std::int64_t wanted =
        other.NeedBytes(other.model, other.variant, std::int64_t{other.max_sequence_tokens} * other.max_batch);
    held += std::max(hosted, wanted);
  }
  // Alone it may try: the worker says best what is missing.
  if (held == 0) return true;
  return held + worker.NeedBytes(job.spec.model, job.spec.variants[variant], KvTokens(job)) <=
         worker.device.memory_bytes;
}

void Scheduler::Impl::MakeRoom(const ActiveJob& job, const std::vector<WorkerEntry*>& live) {
  for (WorkerEntry* worker : live) {
    if (worker->variant.empty() || !worker->leases.empty()) continue;
    const std::int32_t hosted = HostedIndex(job, *worker);
    if (hosted >= 0 && FirstRunnable(job, hosted, *worker).has_value()) continue;
    worker->model.clear();
    worker->variant.clear();
    worker->max_sequence_tokens = 0;
    worker->max_batch = 1;
    Touch(*worker);
  }
  IndexHosts();
}

}  // namespace uaqf::core
