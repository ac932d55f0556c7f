#include "server/store/imported_json.h"
#include "server/store/spec_json.h"
#include "server/store/sqlite_reader.h"

namespace uaqf::store {

MutationResult ImportJob(Connection* connection, const core::ImportJob& import) {
  const core::RequestKey& request = import.request;
  const MutationResult found = FindRequest(connection, request);
  if (found.applied != Applied::kYes) return found;
  std::int64_t job = 0;
  {
    Query taken(connection->Prepare("SELECT 1 FROM job WHERE id = ?1"));
    if (taken.Bind(import.id).Step()) return {Applied::kIdTaken, ""};
  }
  core::JobSpec spec;
  for (const core::ImportedVariant& variant : import.table.variants) spec.variants.push_back(variant.variant);
  const std::string spec_text = ToJson(spec), table = ToJson(import.table);
  Query(connection->Prepare(
            "INSERT INTO job(id, principal, request_id, request_digest, spec, prompt_count, state, create_wall_ns, "
            "start_wall_ns, end_wall_ns, planned, imported) VALUES(?1, ?2, ?3, ?4, ?5, 0, 3, ?6, ?6, ?6, 1, ?7)"))
      .Bind(import.id, request.principal, request.request_id, request.digest, spec_text, import.wall_ns, table)
      .Run();
  {
    Query seq(connection->Prepare("SELECT seq FROM job WHERE id = ?1"));
    seq.Bind(import.id).Step();
    job = seq.Int(0);
  }
  for (std::int32_t v = 0; v < static_cast<std::int32_t>(spec.variants.size()); ++v) {
    Query(connection->Prepare("INSERT INTO variant VALUES(?1, ?2, 4, '', 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0, 0.0)"))
        .Bind(job, v)
        .Run();
  }
  return {};
}

}  // namespace uaqf::store
