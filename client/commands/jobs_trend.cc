#include <memory>
#include <string>
#include <vector>

#include "client/commands/commands.h"
#include "client/json.h"
#include "client/names.h"
#include "client/show.h"

namespace uaqf::client {
namespace {

absl::Status ShowTrend(Context& context, const std::vector<std::string>& wanted) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  std::vector<std::string> jobs;
  for (const std::string& job : wanted) {
    auto name = ResolveJob(**client, job);
    if (!name.ok()) return name.status();
    jobs.push_back(*std::move(name));
  }
  const auto answer = (*client)->CompareModels(jobs);
  if (!answer.ok()) return answer.status();
  if (context.json()) {
    context.Print(ToJson(*answer));
  } else {
    context.Print(context.csv() ? TrendCsv(*answer) : TrendText(*answer, context.out));
  }
  return absl::OkStatus();
}

}  // namespace

void AddJobsTrend(CLI::App& jobs, Context& context) {
  auto wanted = std::make_shared<std::vector<std::string>>();
  CLI::App* trend =
      AddCommand(jobs, "trend",
                 "Tell how speedup and loss of each variant change with the size of the model, over jobs of several",
                 "uaqf jobs trend k7f 2m9 a2b --output csv");
  trend->add_option("JOB", *wanted, "Two or more, of different models: name, id, or the beginning of one")
      ->required()
      ->expected(2, 16);
  OnCommand(trend, context, [&context, wanted] { return ShowTrend(context, *wanted); });
}

}  // namespace uaqf::client
