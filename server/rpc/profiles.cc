#include "server/rpc/profiles.h"

#include "absl/strings/str_cat.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/ranking/profile.h"
#include "server/rpc/errors.h"
#include "server/rpc/ranking_convert.h"

namespace uaqf::rpc {

absl::StatusOr<v1::Profile> ParseStored(const store::StoredProfile& stored) {
  v1::Profile profile;
  if (profile.ParseFromString(stored.blob)) return profile;
  return wire::Error(
      absl::StatusCode::kDataLoss, "PROFILE_DAMAGED",
      absl::StrCat("the stored profile ", stored.name, " cannot be read; delete it and create it again"));
}

absl::StatusOr<v1::Profile> FindProfile(store::Store* store, const std::string& name) {
  if (auto id = wire::ParseProfileName(name); !id.ok()) return id.status();
  if (const ranking::Profile* built_in = ranking::FindBuiltInProfile(name)) return ToProto(*built_in);
  auto stored = store->GetProfile(name);
  if (!stored.ok()) return OrMissing(stored.status(), NoSuchProfile(name));
  return ParseStored(*stored);
}

}  // namespace uaqf::rpc
