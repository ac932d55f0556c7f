// Answers of the coordinator as text for people and as rows for programs. Pure functions: what they return does not
// depend on the clock, the locale or the terminal but for what they are given.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "client/table.h"
#include "client/terminal.h"
#include "uaqf/v1/evaluation_service.pb.h"
#include "uaqf/v1/ranking_service.pb.h"

namespace uaqf::client {

// The measured table: latency with its spread, TTFT, tokens/s, speedup, stability, losses, divergence, whole articles
// (lm-eval's recipe), memory, then the scores of tasks. Columns that nobody measured are left out, a cell that was not
// measured is "-".
std::string MeasuresText(const v1::MeasureVariantsResponse& measures, const Terminal& terminal);
// Columns are the fields of VariantMeasures; "" is not measured. Stable: columns are only ever added at the end.
std::string MeasuresCsv(const v1::MeasureVariantsResponse& measures);

// What each variant is in full, as JSON, under the digest that its records carry.
Table ConfigurationsTable(const v1::MeasureVariantsResponse& measures);
Table ConfigurationsCsv(const v1::MeasureVariantsResponse& measures);

// A variant's name, and what was measured of its outputs; borrowed.
using NamedBehaviour = std::pair<std::string, const v1::BehaviourMeasure*>;
// How far outputs come again, a row for each run of each variant; empty where none was measured.
std::string BehaviourText(const std::vector<NamedBehaviour>& variants, const Terminal& terminal);
// The same in a line: of each variant the run that agrees least, and what is not sane; empty where none was measured.
std::string BehaviourLine(const std::vector<NamedBehaviour>& variants);
// The same as columns of a CSV line; empty cells without `has`.
std::vector<std::string> BehaviourColumns();
std::vector<std::string> BehaviourCells(bool has, const v1::BehaviourMeasure& behaviour);

// What devices did around the chunks, a row for each variant, and the line below; empty where nothing was timed.
std::string EvidenceText(const v1::EvidenceSummary& evidence, const Terminal& terminal);
// "evidence: 2 chunks rejected, drift +0.40 % ±0.30 over the run, variants took turns", with its line end.
std::string EvidenceLine(const v1::EvidenceSummary& evidence);
// "0:43 of the device, estimated 32 % less than the 1:03 of measuring all to the end", with what is still to come.
std::string DeviceTimeText(const v1::DeviceTime& time);

// "fp16 against itself, in two processes: +0.21 % tokens/s [-0.10, +0.52]; up to 0.52 % is noise", with its line end;
// why it is not known where it is not. Empty where a job did not measure it.
std::string NoiseFloorLine(const v1::NoiseFloor& floor);

// Formula, conditions, ranks with utility and terms, reasons of what is not ranked, warnings.
std::string RankText(const v1::RankVariantsResponse& answer, const Terminal& terminal);
std::string RankCsv(const v1::RankVariantsResponse& answer);

// Where each variant overtakes fp16: a table for each input and output length, a column for each batch size, then the
// crossings. Empty where no grid was timed.
std::string TrafficText(const v1::RankVariantsResponse& answer, const Terminal& terminal);
// How many sequences of the profile's context the device holds beside each variant, a line; empty where nobody asked.
std::string CapacityText(const v1::RankVariantsResponse& answer);

// Each variant of two jobs: ratio of speeds, difference of losses, and what may be concluded.
std::string CompareText(const v1::CompareJobsResponse& answer, const Terminal& terminal);
std::string CompareCsv(const v1::CompareJobsResponse& answer);
// Each variant of two jobs: how far its outputs are the same tokens.
std::string CompareOutputsText(const v1::CompareJobsResponse& answer, const Terminal& terminal);
std::string CompareOutputsCsv(const v1::CompareJobsResponse& answer);

// How each variant's speedup and losses change with the size of the model: a table for each, its trend below.
std::string TrendText(const v1::CompareModelsResponse& answer, const Terminal& terminal);
// A row for each model and variant, the slopes of the variant's trends in each of its rows.
std::string TrendCsv(const v1::CompareModelsResponse& answer);

// What was asked and where it is, above the measured table.
std::string JobText(const v1::Job& job, const Terminal& terminal);
Table JobsTable(const v1::ListJobsResponse& jobs, absl::Time now);
Table JobsCsv(const v1::ListJobsResponse& jobs);

Table PromptSetsTable(const v1::ListPromptSetsResponse& sets, absl::Time now);
Table PromptSetsCsv(const v1::ListPromptSetsResponse& sets);

Table WorkersTable(const v1::ListWorkersResponse& workers);
Table WorkersCsv(const v1::ListWorkersResponse& workers);

Table VariantsTable(const v1::ListVariantsResponse& variants);
Table VariantsCsv(const v1::ListVariantsResponse& variants);

Table ProfilesTable(const v1::ListProfilesResponse& profiles);
Table ProfilesCsv(const v1::ListProfilesResponse& profiles);
// One profile with its formula, constraint and weights.
std::string ProfileText(const v1::Profile& profile, const Terminal& terminal);

// "utility", "regime", "full"; "minmax", "baseline".
std::string FormulaName(v1::UtilityFormula formula);
std::string NormalizationName(v1::Normalization normalization);

// Time of a timestamp; the epoch when there is none.
absl::Time TimeOf(const google::protobuf::Timestamp& time);
// RFC 3339 in UTC; "" when there is none.
std::string TimeText(const google::protobuf::Timestamp& time);

}  // namespace uaqf::client
