#include "server/metrics/exposition.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

namespace uaqf::metrics {

void Exposition::WakeAccept() const {
  const std::size_t colon = address_.rfind(':');
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address_.substr(0, colon).c_str(), address_.substr(colon + 1).c_str(), &hints, &found) != 0) return;
  const int socket_fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_fd >= 0) {
    // Whether it succeeds does not matter: it ends the poll.
    if (connect(socket_fd, found->ai_addr, found->ai_addrlen) != 0) errno = 0;
    close(socket_fd);
  }
  freeaddrinfo(found);
}

Exposition::~Exposition() {
  std::atomic<bool> stopped{false};
  std::thread waker([&] {
    while (!stopped) {
      WakeAccept();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  exposer_.reset();
  stopped = true;
  waker.join();
}

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
  } catch (const std::exception&) {
    return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", address,
                                               ": the port is in use, or it is no address of this machine; choose "
                                               "another with --metrics HOST:PORT"));
  }
  for (const auto& collectable : metrics.Collectables()) exposer->RegisterCollectable(collectable);
  const std::string bound = absl::StrCat(host, ":", exposer->GetListeningPorts().at(0));
  return std::unique_ptr<Exposition>(new Exposition(std::move(exposer), bound));
}

}  // namespace uaqf::metrics
