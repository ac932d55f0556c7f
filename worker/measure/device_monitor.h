// The state of a device around a chunk: what makes its figures believable. The processors' is CpuMonitor, a GPU's
// GpuMonitor; tests and the null worker have one that sees nothing.
#pragma once

#include "worker/measure/types.h"

namespace uaqf::measure {

// Used from one thread.
class DeviceMonitor {
 public:
  virtual ~DeviceMonitor() = default;

  virtual const Device& device() const = 0;
  // Empties the caches between memory and processor, so that no chunk profits from the one before.
  virtual void ClearCaches() = 0;
  // Begins to watch.
  virtual void Begin() = 0;
  // A look between two items, outside of timed regions.
  virtual void BetweenItems() {}
  // What was seen since Begin, with the taints that follow from it.
  virtual DeviceUse End() = 0;
};

}  // namespace uaqf::measure
