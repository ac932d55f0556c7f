#include <memory>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/json.h"
#include "client/show.h"

namespace uaqf::client {

void AddVariants(CLI::App& app, Context& context) {
  auto model = std::make_shared<std::string>();
  CLI::App* variants = AddCommand(app, "variants", "Variants of a model, and which of them fit it",
                                  "uaqf variants smollm2-135m-instruct");
  variants->add_option("MODEL", *model, "Model id (uaqf workers)")->required();
  OnCommand(variants, context, [&context, model]() -> absl::Status {
    const auto client = context.Connect();
    if (!client.ok()) return client.status();
    const auto answer = (*client)->ListVariants(*model);
    if (!answer.ok()) return answer.status();
    if (context.json()) {
      context.Print(ToJson(*answer));
    } else {
      context.Print(context.csv() ? VariantsCsv(*answer) : VariantsTable(*answer));
      context.Next(absl::StrCat("uaqf jobs submit --model ", *model, " --variants fp16,VARIANT --prompts SET --watch"));
    }
    return absl::OkStatus();
  });
}

}  // namespace uaqf::client
