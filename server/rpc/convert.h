// Messages of the contract from and to the plain types of server/core and server/store, field by field.
// What comes in must have passed Validate.
#pragma once

#include <uaqf/v1/evaluation_service.pb.h>
#include <uaqf/v1/worker_service.pb.h>

#include <string>

#include "server/core/progress.h"
#include "server/core/record.h"
#include "server/core/types.h"
#include "server/core/worker.h"
#include "server/store/job_store.h"

namespace uaqf::rpc {

core::JobSpec FromProto(const v1::JobSpec& message);
v1::JobSpec ToProto(const core::JobSpec& spec);
v1::DeviceTime ToProto(const core::DeviceTime& time);
v1::Job ToProto(const core::JobView& view);

core::WorkerReport FromProto(const v1::WorkerState& message);
v1::DesiredState ToProto(const core::DesiredState& desired);
v1::Worker ToProto(const core::WorkerView& view);
v1::VariantInfo ToProto(const core::VariantInfo& info);

core::RecordBatch FromProto(const v1::RecordBatch& message);
core::AttemptId FromProto(const v1::AttemptId& message);
v1::AttemptId ToProto(const core::AttemptId& attempt);
// kGap has no counterpart: such a batch is not acknowledged.
v1::RecordVerdict ToProto(core::Verdict verdict);

v1::PromptSet ToProto(const store::PromptSetInfo& info);
// Without prompt id and category, which are the prompt set's.
v1::StoredRecord ToProto(const store::StoredRecord& record, const core::JobId& job, const core::JobSpec& spec);

}  // namespace uaqf::rpc
