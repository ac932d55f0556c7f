#include "server/core/invariants.h"

#include <algorithm>
#include <compare>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/core/item_order.h"

namespace uaqf::core {
namespace {

// What a record is about, whichever chunk carries it.
struct Place {
  ChunkKind kind;
  std::int32_t variant, group, summary_k, repeat, item;

  auto operator<=>(const Place&) const = default;
};

std::string Text(const Place& place) {
  return absl::StrCat(Name(place.kind), " of variant ", place.variant, " in group ", place.group, ", k ",
                      place.summary_k, ", repeat ", place.repeat, ", item ", place.item);
}

bool Terminal(Outcome outcome) { return outcome == Outcome::kAccepted || outcome == Outcome::kQuarantined; }

class Checker {
 public:
  explicit Checker(const JobDump& job)
      : job_(job), order_(job.spec, CountItems(job.spec, job.prompt_count, job.survey)) {
    for (const AttemptDump& attempt : job.attempts) by_chunk_[attempt.chunk].push_back(&attempt);
    for (auto& [chunk, attempts] : by_chunk_) {
      std::sort(attempts.begin(), attempts.end(), [](const auto* a, const auto* b) { return a->epoch < b->epoch; });
    }
  }

  std::vector<std::string> Run() {
    for (std::size_t i = 0; i < job_.chunks.size(); ++i) {
      if (job_.chunks[i].index != static_cast<std::int32_t>(i)) Report("I1", absl::StrCat("no chunk ", i));
    }
    for (const auto& [chunk, attempts] : by_chunk_) {
      if (chunk < 0 || chunk >= static_cast<std::int32_t>(job_.chunks.size())) {
        Report("I1", absl::StrCat("attempts of chunk ", chunk, ", which does not exist"));
        return std::move(found_);
      }
    }
    CheckTerminalRecords();
    CheckSummaries();
    CheckAttempts();
    CheckCounters();
    CheckEnd();
    return std::move(found_);
  }

 private:
  void Report(const std::string& invariant, const std::string& what) {
    found_.push_back(absl::StrCat(invariant, " jobs/", job_.id, ": ", what));
  }

  const std::vector<const AttemptDump*>& Attempts(std::int32_t chunk) const {
    static const auto* const kNone = new std::vector<const AttemptDump*>();
    const auto it = by_chunk_.find(chunk);
    return it == by_chunk_.end() ? *kNone : it->second;
  }

  Place PlaceOf(const Chunk& chunk, std::int32_t item) const {
    return {chunk.kind, chunk.variant, chunk.group, chunk.summary_k, chunk.repeat, item};
  }

  // I1 and I2 over places: what the chunks still cover, and what is recorded for good.
  void CheckTerminalRecords() {
    std::set<Place> covered;
    std::map<Place, int> terminal;
    for (const Chunk& chunk : job_.chunks) {
      if (chunk.state != ChunkState::kSplit) {
        for (const std::int32_t item : order_.ItemsOf(chunk)) {
          const Place place = PlaceOf(chunk, item);
          if (!covered.insert(place).second) Report("I1", absl::StrCat("two chunks cover ", Text(place)));
        }
      }
      for (const AttemptDump* attempt : Attempts(chunk.index)) {
        if (!Terminal(attempt->outcome)) continue;
        CheckRange(chunk, *attempt);
        for (const RecordKey& record : attempt->records) {
          if (++terminal[PlaceOf(chunk, record.item)] > 1) {
            Report("I2", absl::StrCat("two terminal records of ", Text(PlaceOf(chunk, record.item))));
          }
        }
      }
    }
    // A job that may end before everything is measured promises less.
    if (job_.state != JobState::kSucceeded || job_.spec.allocation.InRounds()) return;
    for (const Place& place : covered) {
      if (job_.variants[place.variant].state == VariantState::kFailed) continue;
      if (terminal.count(place) == 0) Report("I1", absl::StrCat("no terminal record of ", Text(place)));
    }
  }

  // I1 and I2 of bounded comparisons: each has the summaries it needs, and none ran before they were made or given up.
  void CheckSummaries() {
    std::map<std::pair<std::int32_t, std::int32_t>, bool> open;  // by (k, window)
    for (const Chunk& chunk : job_.chunks) {
      if (chunk.kind != ChunkKind::kSummary || chunk.state == ChunkState::kSplit) continue;
      for (const std::int32_t window : order_.ItemsOf(chunk)) open[{chunk.summary_k, window}] = Open(chunk.state);
    }
    for (const Chunk& chunk : job_.chunks) {
      if (chunk.kind != ChunkKind::kDivergence || chunk.summary_k == 0) continue;
      for (const std::int32_t window : order_.ItemsOf(chunk)) {
        const auto summary = open.find({chunk.summary_k, window});
        const std::string name = absl::StrCat("k ", chunk.summary_k, " of window ", window);
        if (summary == open.end()) Report("I1", absl::StrCat("chunk ", chunk.index, " has no summary with ", name));
        if (summary != open.end() && summary->second && chunk.epoch > 0) {
          Report("I2", absl::StrCat("chunk ", chunk.index, " ran before the summary with ", name));
        }
      }
    }
  }

  void CheckRange(const Chunk& chunk, const AttemptDump& attempt) {
    if (static_cast<std::int32_t>(attempt.records.size()) != chunk.count) {
      Report("I1", absl::StrCat("chunk ", chunk.index, " ended with ", attempt.records.size(), " records, expected ",
                                chunk.count));
    }
    for (const RecordKey& record : attempt.records) {
      const std::int32_t place = order_.PlaceOf(chunk.kind, record.item);
      if (place < chunk.first || place >= chunk.first + chunk.count || record.repeat != chunk.repeat) {
        Report("I1",
               absl::StrCat("chunk ", chunk.index, " has a record of item ", record.item, " repeat ", record.repeat));
      }
    }
  }

  // I2 to I5 over the attempts of each chunk.
  void CheckAttempts() {
    for (const Chunk& chunk : job_.chunks) {
      const auto& attempts = Attempts(chunk.index);
      const std::string name = absl::StrCat("chunk ", chunk.index);
      std::int64_t expected = 0;
      std::int64_t commit = 0;
      int terminal = 0;
      int open = 0;
      for (const AttemptDump* attempt : attempts) {
        if (attempt->epoch != ++expected) {
          Report("I4", absl::StrCat(name, " has an attempt of epoch ", attempt->epoch, ", expected ", expected));
        }
        if (attempt->lease_commit < commit) Report("I4", absl::StrCat(name, ": a later epoch was leased earlier"));
        commit = attempt->lease_commit;
        if (Terminal(attempt->outcome)) {
          ++terminal;
          if (attempt->epoch != chunk.epoch) {
            Report("I3", absl::StrCat(name, " accepted epoch ", attempt->epoch, ", but has epoch ", chunk.epoch));
          }
        }
        if (attempt->outcome == Outcome::kOpen) {
          ++open;
          if (attempt->epoch != chunk.epoch) Report("I5", absl::StrCat(name, ": an old epoch is open"));
        }
      }
      if (chunk.epoch != expected) {
        Report("I4", absl::StrCat(name, " has epoch ", chunk.epoch, " and ", expected, " attempts"));
      }
      const bool ended = chunk.state == ChunkState::kDone || chunk.state == ChunkState::kQuarantined;
      if (terminal != (ended ? 1 : 0)) {
        Report("I2", absl::StrCat(name, " has ", terminal, " terminal attempts, expected ", ended ? 1 : 0));
      }
      if (open != (chunk.state == ChunkState::kLeased ? 1 : 0)) {
        Report("I5", absl::StrCat(name, " has ", open, " open attempts, in state ", static_cast<int>(chunk.state)));
      }
    }
  }

  // I6.
  void CheckCounters() {
    if (!job_.planned) return;
    std::vector<Tally> counted(job_.variants.size());
    for (const Chunk& chunk : job_.chunks) Recount(chunk, &counted[chunk.variant]);
    for (std::size_t v = 0; v < counted.size(); ++v) {
      const Tally& saved = job_.variants[v].tally;
      const auto compare = [&](const char* name, std::int64_t got, std::int64_t expected) {
        if (got != expected)
          Report("I6", absl::StrCat("variant ", v, ": ", name, " is ", got, ", rows say ", expected));
      };
      compare("records_done", saved.records_done, counted[v].records_done);
      compare("records_total", saved.records_total, counted[v].records_total);
      compare("records_quarantined", saved.records_quarantined, counted[v].records_quarantined);
      compare("chunks_done", saved.chunks_done, counted[v].chunks_done);
      compare("chunks_total", saved.chunks_total, counted[v].chunks_total);
      compare("attempts_tainted", saved.attempts_tainted, counted[v].attempts_tainted);
      compare("attempts_rerun", saved.attempts_rerun, counted[v].attempts_rerun);
    }
  }

  void Recount(const Chunk& chunk, Tally* tally) const {
    if (chunk.state != ChunkState::kSplit) {
      ++tally->chunks_total;
      tally->records_total += chunk.count;
    }
    tally->chunks_done += chunk.state == ChunkState::kDone || chunk.state == ChunkState::kQuarantined;
    for (const AttemptDump* attempt : Attempts(chunk.index)) {
      const Outcome outcome = attempt->outcome;
      tally->attempts_tainted += outcome == Outcome::kTainted;
      tally->attempts_rerun +=
          outcome == Outcome::kTainted || outcome == Outcome::kFailed || outcome == Outcome::kExpired;
      if (!Terminal(outcome)) continue;
      for (const RecordKey& record : attempt->records)
        ++(record.failure ? tally->records_quarantined : tally->records_done);
    }
  }

  // I7, and that nothing is left open.
  void CheckEnd() {
    if (!Ended(job_.state)) return;
    for (const Chunk& chunk : job_.chunks) {
      if (Open(chunk.state)) Report("I7", absl::StrCat("chunk ", chunk.index, " is open although the job ended"));
    }
    for (const AttemptDump& attempt : job_.attempts) {
      if (attempt.last_commit > job_.end_commit) {
        Report("I7", absl::StrCat("chunk ", attempt.chunk, " has rows of commit ", attempt.last_commit,
                                  ", after the end in commit ", job_.end_commit));
      }
    }
  }

  const JobDump& job_;
  const ItemOrder order_;
  std::map<std::int32_t, std::vector<const AttemptDump*>> by_chunk_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> CheckInvariants(const JobDump& job) { return Checker(job).Run(); }

}  // namespace uaqf::core
