// The HTTP endpoint of /metrics.
#pragma once

#include <prometheus/exposer.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/metrics/metrics.h"

namespace uaqf::metrics {

class Exposition {
 public:
  // Serves http://ADDRESS/metrics until destroyed; port 0 takes a free one. `metrics` must outlive it.
  // UNAVAILABLE: the address cannot be bound. INVALID_ARGUMENT: not HOST:PORT.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Exposition>> Start(const std::string& address,
                                                                         const Metrics& metrics);
  // Stops serving. Takes a few milliseconds, and not the two seconds of civetweb's poll.
  ~Exposition();
  Exposition(const Exposition&) = delete;
  Exposition& operator=(const Exposition&) = delete;

  // "HOST:PORT", with the port that was taken.
  const std::string& address() const { return address_; }

 private:
  Exposition(std::unique_ptr<prometheus::Exposer> exposer, std::string address)
      : exposer_(std::move(exposer)), address_(std::move(address)) {}
  void WakeAccept() const;

  std::unique_ptr<prometheus::Exposer> exposer_;
  std::string address_;
};

}  // namespace uaqf::metrics
