#include "server/ranking/compare_models.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/ranking/comparison.h"

namespace uaqf::ranking {
namespace {

std::ptrdiff_t IndexOf(const std::vector<VariantMeasures>& measures, const std::string& name) {
  const auto found = std::find_if(measures.begin(), measures.end(), [&](const auto& m) { return m.variant == name; });
  return found == measures.end() ? -1 : found - measures.begin();
}

// Of one variant against fp16 of its job.
class Against {
 public:
  Against(const ModelJob& job, std::size_t variant, std::size_t baseline)
      : own_((*job.common)[variant]),
        fp16_((*job.common)[baseline]),
        resampled_(*job.resampled),
        variant_(variant),
        baseline_(baseline) {}

  ModelVariant Figures() const {
    ModelVariant out{.variant = own_.variant};
    out.speedup = Speedup();
    out.nll_loss = NllLoss();
    out.relative_loss = RelativeLoss();
    out.perplexity_ratio = PerplexityRatio(out.nll_loss);
    if (own_.memory_bytes && fp16_.memory_bytes && *fp16_.memory_bytes > 0) {
      out.memory_ratio = static_cast<double>(*own_.memory_bytes) / static_cast<double>(*fp16_.memory_bytes);
    }
    out.reason = Reason(out);
    return out;
  }

 private:
  bool Both(bool Resampled::Has::*what) const {
    return resampled_.has(variant_).*what && resampled_.has(baseline_).*what;
  }

  std::optional<ModelFigure> Speedup() const {
    if (!own_.speedup || *own_.speedup <= 0) return std::nullopt;
    if (!Both(&Resampled::Has::timings)) return ModelFigure{*own_.speedup, std::nullopt};
    const Comparison speed = CompareSpeed(resampled_, variant_, baseline_);
    return ModelFigure{speed.value, speed.interval};
  }

  std::optional<ModelFigure> NllLoss() const {
    if (!own_.delta_nll) return std::nullopt;
    if (!Both(&Resampled::Has::nll)) return ModelFigure{own_.delta_nll->value, std::nullopt};
    const Comparison loss =
        CompareFigure(resampled_, variant_, baseline_, [](const ResampledFigures& f) { return f.nll; });
    return ModelFigure{loss.value, loss.interval};
  }

  // Both losses of a resample are on the same windows.
  std::optional<ModelFigure> RelativeLoss() const {
    if (!own_.delta_nll || !fp16_.nll || *fp16_.nll <= 0) return std::nullopt;
    if (!Both(&Resampled::Has::nll)) return ModelFigure{own_.delta_nll->value / *fp16_.nll, std::nullopt};
    const auto relative = [this](std::int32_t r) {
      return resampled_.At(r, variant_).nll / resampled_.At(r, baseline_).nll - 1;
    };
    return ModelFigure{relative(Resampled::kAllUnits), IntervalOf(resampled_.resamples(), relative)};
  }

  // Absent where it is beyond all numbers.
  static std::optional<ModelFigure> PerplexityRatio(const std::optional<ModelFigure>& nll_loss) {
    if (!nll_loss || !std::isfinite(std::exp(nll_loss->value))) return std::nullopt;
    ModelFigure out{std::exp(nll_loss->value), std::nullopt};
    if (nll_loss->interval) out.interval = {std::exp(nll_loss->interval->low), std::exp(nll_loss->interval->high)};
    return out;
  }

  std::string Reason(const ModelVariant& out) const {
    if (!own_.stopped.empty()) return absl::StrCat("not measured to the end: ", own_.stopped);
    std::vector<std::string> reasons;
    const auto add = [&](const std::optional<ModelFigure>& figure, const std::string& problem, const char* what,
                         const char* units) {
      if (figure && figure->interval) return;
      if (!figure) return reasons.push_back(problem.empty() ? absl::StrCat(what, " not measured") : problem);
      reasons.push_back(
          absl::StrFormat("%s of fewer than %d %s: no interval, and not in the trend", what, kLeastUnits, units));
    };
    add(out.speedup, own_.timing_problem, "speed", "prompts");
    add(out.nll_loss, own_.quality_problem, "loss", "windows");
    return absl::StrJoin(reasons, "; ");
  }

  const VariantMeasures& own_;
  const VariantMeasures& fp16_;
  const Resampled& resampled_;
  const std::size_t variant_;
  const std::size_t baseline_;
};

absl::StatusOr<MeasuredModel> MeasureModel(const ModelJob& job) {
  const std::ptrdiff_t fp16 = IndexOf(*job.common, kBaseline);
  const VariantMeasures* baseline = fp16 < 0 ? nullptr : &(*job.common)[fp16];
  if (baseline == nullptr || (!baseline->tokens_per_s && !baseline->nll)) {
    return absl::FailedPreconditionError(
        absl::StrCat(job.job, " has no figures of ", kBaseline,
                     ", which its variants are compared with; measure it in the same job"));
  }
  MeasuredModel out{.job = job.job,
                    .model = job.model,
                    .parameters = job.parameters,
                    .release_format = job.release_format,
                    .nll = baseline->nll,
                    .memory_bytes = baseline->memory_bytes};
  if (baseline->tokens_per_s) out.tokens_per_s = baseline->tokens_per_s->value;
  for (std::size_t v = 0; v < job.common->size(); ++v) {
    if (static_cast<std::ptrdiff_t>(v) == fp16) continue;
    out.variants.push_back(Against(job, v, static_cast<std::size_t>(fp16)).Figures());
  }
  return out;
}

// `figure` of the variant in every model that has it with an interval, on the scale of `to`.
std::optional<Trend> TrendOf(const std::vector<MeasuredModel>& models, const std::string& variant,
                             std::optional<ModelFigure> ModelVariant::*figure, double (*to)(double)) {
  std::vector<TrendPoint> points;
  for (const MeasuredModel& model : models) {
    for (const ModelVariant& v : model.variants) {
      const std::optional<ModelFigure>& f = v.*figure;
      if (v.variant != variant || !f || !f->interval) continue;
      const double half_width = (to(f->interval->high) - to(f->interval->low)) / 2;
      points.push_back({static_cast<double>(model.parameters), to(f->value), half_width});
    }
  }
  return FitTrend(std::move(points));
}

double Same(double value) { return value; }
double Log2(double value) { return std::log2(value); }

// Those in two models or more.
std::vector<std::string> Shared(const std::vector<MeasuredModel>& models) {
  std::vector<std::string> names, shared;
  for (const MeasuredModel& model : models) {
    for (const ModelVariant& v : model.variants) names.push_back(v.variant);
  }
  for (const std::string& name : names) {
    const bool several = std::count(names.begin(), names.end(), name) > 1;
    const bool listed = std::find(shared.begin(), shared.end(), name) != shared.end();
    if (several && !listed) shared.push_back(name);
  }
  return shared;
}

// What the intervals of the trends hold.
void NoteCoverage(const ModelComparison& comparison, std::vector<std::string>* notes) {
  bool two = false, more = false;
  for (const VariantTrend& trend : comparison.trends) {
    for (const auto& line : {trend.speed, trend.nll_loss, trend.relative_loss}) {
      two = two || (line && !line->covers_models);
      more = more || (line && line->covers_models);
    }
  }
  if (comparison.models.front().parameters == comparison.models.back().parameters) {
    notes->push_back("all models have the same number of parameters: no trend can be told");
  }
  if (more) {
    notes->push_back(
        "intervals of trends over three models or more are of the measurement and of what models differ in beside "
        "their size; each holds for itself, not for all trends at once");
  }
  if (two) {
    notes->push_back(
        "intervals of trends over two models are of the measurement alone: what two models differ in beside their size "
        "cannot be told from it; three or more tell");
  }
}

std::vector<std::string> Notes(const ModelComparison& comparison) {
  std::vector<std::string> notes;
  NoteCoverage(comparison, &notes);
  const std::vector<MeasuredModel>& models = comparison.models;
  const bool losses =
      std::any_of(models.begin(), models.end(), [](const MeasuredModel& m) { return m.nll.has_value(); });
  if (losses) {
    notes.push_back(
        "a token is another amount of text to another tokenizer: nats per token and perplexities of two models are not "
        "to be compared; the relative loss is");
  }
  for (const MeasuredModel& model : models) {
    if (model.release_format.empty()) continue;
    notes.push_back(absl::StrFormat("losses of %s are relative to its %s release", model.model, model.release_format));
  }
  return notes;
}

}  // namespace

absl::StatusOr<ModelComparison> CompareModels(const std::vector<ModelJob>& jobs) {
  ModelComparison comparison;
  for (const ModelJob& job : jobs) {
    auto model = MeasureModel(job);
    if (!model.ok()) return model.status();
    comparison.models.push_back(*std::move(model));
  }
  std::stable_sort(comparison.models.begin(), comparison.models.end(),
                   [](const auto& a, const auto& b) { return a.parameters < b.parameters; });
  for (const std::string& variant : Shared(comparison.models)) {
    comparison.trends.push_back(
        {.variant = variant,
         .speed = TrendOf(comparison.models, variant, &ModelVariant::speedup, Log2),
         .nll_loss = TrendOf(comparison.models, variant, &ModelVariant::nll_loss, Same),
         .relative_loss = TrendOf(comparison.models, variant, &ModelVariant::relative_loss, Same)});
  }
  if (comparison.trends.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no variant beside ", kBaseline, " is in two of the jobs, expected at least one"));
  }
  comparison.notes = Notes(comparison);
  return comparison;
}

}  // namespace uaqf::ranking
