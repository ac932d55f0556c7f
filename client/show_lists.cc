#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/constraint_flags.h"
#include "client/figures.h"
#include "client/names.h"
#include "client/progress.h"
#include "client/show.h"
#include "client/traffic_flags.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

std::string VariantStateName(v1::VariantState state) {
  switch (state) {
    case v1::VARIANT_STATE_PENDING:
      return "pending";
    case v1::VARIANT_STATE_LOADING:
      return "loading";
    case v1::VARIANT_STATE_READY:
      return "ready";
    case v1::VARIANT_STATE_DONE:
      return "done";
    case v1::VARIANT_STATE_STOPPED:
      return "stopped";
    case v1::VARIANT_STATE_FAILED:
      return "failed";
    default:
      return "";
  }
}

std::string ModelsOf(const v1::Worker& worker) {
  std::vector<std::string> models;
  for (const v1::ModelInfo& model : worker.models()) models.push_back(model.model());
  return absl::StrJoin(models, " ");
}

std::string IdOf(const std::string& name) { return name.substr(name.find('/') + 1); }

std::string Doing(const v1::Worker& worker) {
  if (worker.benched()) return "benched";
  if (worker.has_calibration()) return absl::StrCat("calibrates ", LayerText(worker.calibration()));
  return worker.job().empty() ? "idle" : worker.job();
}

std::string Categories(const v1::PromptSet& set) {
  return set.categories().empty() ? "" : absl::StrCat(set.categories_size());
}

// A weight of 0 is left empty: the formula may not have the term.
std::string Weight(double weight) { return weight == 0 ? "" : Exact(weight); }

std::string StabilityFormName(v1::StabilityForm form) {
  return form == v1::STABILITY_FORM_COMBINED ? "combined" : "relative";
}

}  // namespace

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0 && time.nanos() == 0) return "";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", TimeOf(time), absl::UTCTimeZone());
}

Table PromptSetsTable(const v1::ListPromptSetsResponse& sets, absl::Time now) {
  Table table({{"name"},
               {"kind"},
               {"items", Align::kRight},
               {"categories", Align::kRight},
               {"size", Align::kRight},
               {"age", Align::kRight},
               {"digest"}});
  for (const v1::PromptSet& set : sets.prompt_sets()) {
    table.AddRow({FitToWidth(Printable(set.display_name()), 40), KindName(set.kind()), absl::StrCat(set.prompt_count()),
                  Categories(set), Bytes(set.size_bytes()), Age(now - TimeOf(set.create_time())), ShortDigest(set)});
  }
  return table;
}

Table PromptSetsCsv(const v1::ListPromptSetsResponse& sets) {
  Table table({{"name"}, {"display_name"}, {"kind"}, {"prompt_count"}, {"size_bytes"}, {"create_time"}});
  for (const v1::PromptSet& set : sets.prompt_sets()) {
    table.AddRow({set.name(), set.display_name(), KindName(set.kind()), absl::StrCat(set.prompt_count()),
                  absl::StrCat(set.size_bytes()), TimeText(set.create_time())});
  }
  return table;
}

Table WorkersTable(const v1::ListWorkersResponse& workers) {
  Table table({{"worker"},
               {"device"},
               {"hosts"},
               {"variant"},
               {"doing"},
               {"chunks", Align::kRight},
               {"failed", Align::kRight},
               {"models"}});
  for (const v1::Worker& worker : workers.workers()) {
    table.AddRow({IdOf(worker.name()), worker.device().id(), worker.hosting(), VariantStateName(worker.variant_state()),
                  Doing(worker), absl::StrCat(worker.chunks_done()),
                  worker.chunks_failed() == 0 ? "" : absl::StrCat(worker.chunks_failed()),
                  FitToWidth(Printable(ModelsOf(worker)), 40)});
  }
  return table;
}

Table WorkersCsv(const v1::ListWorkersResponse& workers) {
  Table table({{"name"},
               {"device_id"},
               {"device_name"},
               {"backend"},
               {"threads"},
               {"isa"},
               {"build"},
               {"hosting"},
               {"variant_state"},
               {"job"},
               {"chunks_done"},
               {"chunks_failed"},
               {"benched"},
               {"models"}});
  for (const v1::Worker& worker : workers.workers()) {
    const v1::Device& device = worker.device();
    table.AddRow({worker.name(), device.id(), device.name(), device.backend(), absl::StrCat(device.threads()),
                  device.isa(), worker.build(), worker.hosting(), VariantStateName(worker.variant_state()),
                  worker.job(), absl::StrCat(worker.chunks_done()), absl::StrCat(worker.chunks_failed()),
                  worker.benched() ? "true" : "false", ModelsOf(worker)});
  }
  return table;
}

Table VariantsTable(const v1::ListVariantsResponse& variants) {
  Table table({{"variant"}, {"fits"}, {"description"}});
  for (const v1::VariantInfo& variant : variants.variants()) {
    table.AddRow(
        {variant.variant(), variant.fits() ? "yes" : "no", variant.fits() ? variant.description() : variant.reason()});
  }
  return table;
}

Table VariantsCsv(const v1::ListVariantsResponse& variants) {
  Table table({{"variant"}, {"fits"}, {"description"}, {"reason"}});
  for (const v1::VariantInfo& variant : variants.variants()) {
    table.AddRow({variant.variant(), variant.fits() ? "true" : "false", variant.description(), variant.reason()});
  }
  return table;
}

Table ProfilesTable(const v1::ListProfilesResponse& profiles) {
  Table table({{"profile"},
               {"formula"},
               {"normalization"},
               {"speed", Align::kRight},
               {"quality", Align::kRight},
               {"stability", Align::kRight},
               {"memory", Align::kRight},
               {"max ΔNLL", Align::kRight},
               {"description"}});
  for (const v1::Profile& profile : profiles.profiles()) {
    const v1::Weights& weights = profile.weights();
    const auto shown = [](double weight) { return weight == 0 ? "" : Fixed(weight, 2); };
    table.AddRow({IdOf(profile.name()), FormulaName(profile.formula()), NormalizationName(profile.normalization()),
                  shown(weights.speed()), shown(weights.quality()), shown(weights.stability()), shown(weights.memory()),
                  profile.has_max_delta_nll() ? Exact(profile.max_delta_nll()) : "",
                  profile.built_in() ? profile.description() : absl::StrCat("(yours) ", profile.description())});
  }
  return table;
}

Table ProfilesCsv(const v1::ListProfilesResponse& profiles) {
  Table table({{"name"},
               {"description"},
               {"formula"},
               {"normalization"},
               {"speed"},
               {"quality"},
               {"stability"},
               {"memory"},
               {"stability_form"},
               {"stability_alpha"},
               {"stability_beta"},
               {"max_delta_nll"},
               {"built_in"}});
  for (const v1::Profile& profile : profiles.profiles()) {
    const v1::Weights& weights = profile.weights();
    table.AddRow({profile.name(), profile.description(), FormulaName(profile.formula()),
                  NormalizationName(profile.normalization()), Exact(weights.speed()), Exact(weights.quality()),
                  Exact(weights.stability()), Exact(weights.memory()), StabilityFormName(profile.stability_form()),
                  Exact(profile.stability_alpha()), Exact(profile.stability_beta()),
                  profile.has_max_delta_nll() ? Exact(profile.max_delta_nll()) : "",
                  profile.built_in() ? "true" : "false"});
  }
  return table;
}

std::string ProfileText(const v1::Profile& profile, const Terminal& terminal) {
  const v1::Weights& weights = profile.weights();
  std::string text = absl::StrCat("profile        ", terminal.Paint(Style::kBold, IdOf(profile.name())),
                                  profile.built_in() ? "   built in" : "", "\n");
  const auto line = [&](const char* label, const std::string& value) {
    if (!value.empty()) absl::StrAppendFormat(&text, "%-15s%s\n", label, Printable(value));
  };
  line("description", profile.description());
  line("formula", FormulaName(profile.formula()));
  line("normalization", NormalizationName(profile.normalization()));
  line("speed", Weight(weights.speed()));
  line("quality", Weight(weights.quality()));
  line("stability", Weight(weights.stability()));
  line("memory", Weight(weights.memory()));
  if (weights.stability() != 0) {
    line("stability form", profile.stability_form() == v1::STABILITY_FORM_COMBINED
                               ? absl::StrCat("combined, alpha ", Exact(profile.stability_alpha()), " /s, beta ",
                                              Exact(profile.stability_beta()), " s/token")
                               : StabilityFormName(profile.stability_form()));
  }
  if (profile.has_max_delta_nll()) line("constraint", absl::StrCat("ΔNLL <= ", Exact(profile.max_delta_nll())));
  for (const v1::Constraint& constraint : profile.constraints()) {
    line("constraint", absl::StrCat(FigureName(constraint.figure()),
                                    " <= ", FigureText(constraint.figure(), constraint.limit()), ", surely"));
  }
  line("traffic", MixText(profile));
  if (profile.context_tokens() > 0) line("context", Count(profile.context_tokens(), "token"));
  if (profile.device_memory_bytes() > 0) line("device memory", Bytes(profile.device_memory_bytes()));
  if (profile.price_per_hour() > 0) line("price per hour", Exact(profile.price_per_hour()));
  return text;
}

std::string FormulaName(v1::UtilityFormula formula) {
  switch (formula) {
    case v1::UTILITY_FORMULA_UTILITY:
      return "utility";
    case v1::UTILITY_FORMULA_REGIME:
      return "regime";
    case v1::UTILITY_FORMULA_FULL:
      return "full";
    default:
      return "";
  }
}

std::string NormalizationName(v1::Normalization normalization) {
  switch (normalization) {
    case v1::NORMALIZATION_MINMAX:
      return "minmax";
    case v1::NORMALIZATION_BASELINE:
      return "baseline";
    default:
      return "";
  }
}

}  // namespace uaqf::client
