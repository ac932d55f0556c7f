// RankingService: figures, ranks and profiles.
#pragma once

#include <uaqf/v1/ranking_service.grpc.pb.h>

#include <string>
#include <vector>

#include "server/ranking/profile.h"
#include "server/rpc/call.h"
#include "server/rpc/context.h"
#include "server/rpc/measures.h"

namespace uaqf::rpc {

// Every method takes bytes; see call.h.
using RankingServiceBase = v1::RankingService::WithRawCallbackMethod_CompareJobs<
    v1::RankingService::WithRawCallbackMethod_CompareModels<v1::RankingService::WithRawCallbackMethod_MeasureVariants<
        v1::RankingService::WithRawCallbackMethod_RankVariants<v1::RankingService::WithRawCallbackMethod_CreateProfile<
            v1::RankingService::WithRawCallbackMethod_GetProfile<v1::RankingService::WithRawCallbackMethod_ListProfiles<
                v1::RankingService::WithRawCallbackMethod_DeleteProfile<v1::RankingService::Service>>>>>>>>;

class RankingService final : public RankingServiceBase {
 public:
  RankingService(const ServiceContext& context, Measurer* measurer) : context_(context), measurer_(measurer) {}

  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  grpc::ServerUnaryReactor* MeasureVariants(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* RankVariants(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* CompareJobs(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* CompareModels(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* CreateProfile(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* GetProfile(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* ListProfiles(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* DeleteProfile(Context* context, const Bytes* request, Bytes* response) override;

 private:
  // The profile that the request names or gives, with its constraints added; valid.
  absl::StatusOr<v1::Profile> ProfileOf(const v1::RankVariantsRequest& request);
  // Ranks the parts asked for into `answer`.
  absl::Status AddSlices(const v1::RankVariantsRequest& request, const std::vector<core::JobId>& jobs,
                         const JobMeasures& measures, const ranking::Profile& profile,
                         v1::RankVariantsResponse& answer);
  // Built in or stored; reads the store. NOT_FOUND (PROFILE_NOT_FOUND).
  absl::StatusOr<v1::CompareJobsResponse> Compare(const core::JobId& one, const core::JobId& other, bool behaviour);
  absl::StatusOr<v1::RankVariantsResponse> Rank(const v1::RankVariantsRequest& request,
                                                const std::vector<core::JobId>& jobs);
  absl::StatusOr<v1::Profile> Create(const v1::Profile& profile);
  absl::StatusOr<v1::ListProfilesResponse> List(const std::string& after, std::int32_t size);

  const ServiceContext& context_;
  Measurer* const measurer_;
};

}  // namespace uaqf::rpc
