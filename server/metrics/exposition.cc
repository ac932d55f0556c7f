#include "server/metrics/exposition.h"

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"

namespace uaqf::metrics {

absl::StatusOr<std::unique_ptr<Exposition>> Exposition::Start(const std::string& address, const Metrics& metrics) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("got --metrics ", address, ", expected HOST:PORT such as 127.0.0.1:9464"));
  }
  std::string host = address.substr(0, colon);
  // civetweb takes numbers only.
  const std::string bind = (host == "localhost" ? "127.0.0.1" : host) + address.substr(colon);
  std::unique_ptr<prometheus::Exposer> exposer;
  try {
    exposer = std::make_unique<prometheus::Exposer>(bind, /*num_threads=*/2);
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", address, ": ", error.what(),
                                               "; is the port in use? Choose another with --metrics HOST:PORT"));
  }
  for (const auto& collectable : metrics.Collectables()) exposer->RegisterCollectable(collectable);
  const std::string bound = absl::StrCat(host, ":", exposer->GetListeningPorts().at(0));
  return std::unique_ptr<Exposition>(new Exposition(std::move(exposer), bound));
}

}  // namespace uaqf::metrics
