#include "client/commands/commands.h"
#include "client/json.h"
#include "client/show.h"

namespace uaqf::client {

void AddWorkers(CLI::App& app, Context& context) {
  CLI::App* workers = AddCommand(app, "workers", "Workers connected now, their devices and models", "uaqf workers");
  OnCommand(workers, context, [&context]() -> absl::Status {
    const auto client = context.Connect();
    if (!client.ok()) return client.status();
    const auto answer = (*client)->ListWorkers();
    if (!answer.ok()) return answer.status();
    if (context.json()) {
      context.Print(ToJson(*answer));
    } else {
      context.Print(context.csv() ? WorkersCsv(*answer) : WorkersTable(*answer));
      context.Next(answer->workers().empty()
                       ? "uaqf-worker serve --insecure-dev --server 127.0.0.1:7601 --models DIR --device cpu"
                       : "uaqf variants MODEL");
    }
    return absl::OkStatus();
  });
}

}  // namespace uaqf::client
