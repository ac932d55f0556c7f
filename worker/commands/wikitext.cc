// uaqf-worker wikitext: lm-eval's recipe over the articles of a raw WikiText file.
#include "worker/evaluate/tasks/wikitext.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/commands/command.h"
#include "worker/commands/hosted_model.h"
#include "worker/evaluate/article.h"

namespace uaqf::commands {
namespace {

struct Options {
  ModelOption model;
  ComputeOptions compute;
  CalibrationOption calibration;
  std::string variant = "fp16";
  std::string text;
  int context = 2047;
  int articles = 0;
  bool json = false;
};

struct Sums {
  double nll = 0;
  int64_t tokens = 0;
  int64_t words = 0;
  int64_t bytes = 0;
};

absl::StatusOr<Sums> Score(const evaluate::OpenModel& model, engine::Engine& engine,
                           const std::vector<std::string>& articles, int32_t context) {
  Sums sums;
  for (size_t i = 0; i < articles.size(); ++i) {
    const auto score = evaluate::ScoreRawArticle(model, engine, articles[i], context);
    if (!score.ok()) return score.status();
    sums.nll += score->nll_sum;
    sums.tokens += score->scored_tokens;
    sums.words += score->words;
    sums.bytes += score->bytes;
    std::cerr << absl::StrFormat("article %d/%d  word ppl %.4f", i + 1, articles.size(),
                                 std::exp(sums.nll / static_cast<double>(sums.words)))
              << std::endl;
  }
  return sums;
}

absl::Status Wikitext(const Options& options) {
  auto scored = OpenScored(options.model, options.text, options.calibration, /*join_rows=*/false);
  if (!scored.ok()) return scored.status();
  const evaluate::OpenModel& model = *scored->model;
  std::vector<std::string> articles = evaluate::SplitArticles(scored->text);
  if (articles.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(options.text, " has no article, expected raw WikiText"));
  }
  if (options.articles > 0) articles.resize(std::min(articles.size(), static_cast<size_t>(options.articles)));
  auto engine = LoadEngine(model, options.variant, options.model.folder, options.compute, options.calibration,
                           options.context + 1);
  if (!engine.ok()) return engine.status();
  auto sums = Score(model, **engine, articles, options.context);
  if (!sums.ok()) return sums.status();
  const double per_word = sums->nll / static_cast<double>(sums->words);
  const double per_byte = sums->nll / static_cast<double>(sums->bytes);
  if (options.json) {
    const nlohmann::ordered_json out = {{"articles", articles.size()},
                                        {"tokens", sums->tokens},
                                        {"words", sums->words},
                                        {"bytes", sums->bytes},
                                        {"context", options.context},
                                        {"nll_sum", sums->nll},
                                        {"word_perplexity", std::exp(per_word)},
                                        {"byte_perplexity", std::exp(per_byte)},
                                        {"bits_per_byte", per_byte / std::log(2.0)}};
    std::cout << out.dump() << std::endl;
  } else {
    std::cout << absl::StrFormat(
        "%s  %d articles, %d tokens  word_perplexity %.4f  byte_perplexity %.5f  bits_per_byte "
        "%.5f\n",
        options.variant, articles.size(), sums->tokens, std::exp(per_word), std::exp(per_byte),
        per_byte / std::log(2.0));
  }
  return absl::OkStatus();
}

}  // namespace

void AddWikitext(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("wikitext", "Scores whole articles of raw WikiText (lm-eval recipe, not `perplexity`'s)");
  AddModelOption(*command, options->model);
  command->add_option("--variant", options->variant, "variant to load (default: fp16)");
  command->add_option("--text", options->text, "raw WikiText file")->required();
  command->add_option("--context", options->context, "tokens read before the last scored one (default: 2047)")
      ->check(CLI::Range(2, 1 << 20));
  command->add_option("--articles", options->articles, "score only so many articles")->check(CLI::Range(1, 1 << 30));
  AddComputeOptions(*command, options->compute);
  AddCalibrationTextOption(*command, options->calibration.text);
  AddArtifactsOption(*command, options->calibration.artifacts);
  AddOutputOption(*command, options->json);
  AddExample(*command, "uaqf-worker wikitext smollm2-135m-instruct --variant rtn-w4-g64 --text wiki.test.raw");
  command->callback([options, &run] { run = [options] { return Wikitext(*options); }; });
}

}  // namespace uaqf::commands
