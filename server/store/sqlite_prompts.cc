#include <map>

#include "absl/strings/str_cat.h"
#include "server/store/spec_json.h"
#include "server/store/sqlite_reader.h"

namespace uaqf::store {
namespace {

#define UAQF_SET_COLUMNS \
  "seq, digest, display_name, kind, prompt_count, size_bytes, create_wall_ns, categories, sources "

PromptSetInfo ToInfo(const Query& query) {
  PromptSetInfo info;
  info.digest = query.Text(1);
  info.display_name = query.Text(2);
  info.kind = static_cast<PromptSetKind>(query.Int32(3));
  info.prompt_count = query.Int32(4);
  info.size_bytes = query.Int(5);
  info.create_wall_ns = query.Int(6);
  info.categories = CategoriesFromJson(query.Text(7));
  info.sources = query.Text(8);
  return info;
}

void CountItems(absl::Span<const PromptItem> items, PromptSetInfo* info) {
  std::map<std::string, std::int32_t> categories;
  info->prompt_count = static_cast<std::int32_t>(items.size());
  info->size_bytes = 0;
  for (const PromptItem& item : items) {
    info->size_bytes += static_cast<std::int64_t>(item.blob.size());
    if (!item.category.empty()) ++categories[item.category];
  }
  info->categories.clear();
  for (const auto& [category, count] : categories) info->categories.push_back({category, count});
}

}  // namespace

PromptSetInfo PutPromptSet(Connection* connection, const PromptSetInfo& info, absl::Span<const PromptItem> items) {
  if (auto stored = GetPromptSet(connection, info.digest); stored.ok()) return *std::move(stored);
  PromptSetInfo counted = info;
  CountItems(items, &counted);
  const std::string categories = ToJson(counted.categories);
  Query(connection->Prepare("INSERT INTO prompt_set(digest, display_name, kind, prompt_count, size_bytes, "
                            "create_wall_ns, categories, sources) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"))
      .Bind(counted.digest, counted.display_name, static_cast<std::int32_t>(counted.kind), counted.prompt_count,
            counted.size_bytes, counted.create_wall_ns, categories, Blob{counted.sources})
      .Run();
  const std::int64_t set = connection->database().getLastInsertRowid();
  std::int32_t index = 0;
  for (const PromptItem& item : items) {
    Query(connection->Prepare("INSERT INTO prompt VALUES(?1, ?2, ?3, ?4, ?5)"))
        .Bind(set, index++, item.id, item.category, Blob{item.blob})
        .Run();
  }
  return counted;
}

absl::StatusOr<PromptSetInfo> GetPromptSet(Connection* connection, const std::string& digest) {
  Query query(connection->Prepare("SELECT " UAQF_SET_COLUMNS "FROM prompt_set WHERE digest = ?1"));
  if (!query.Bind(digest).Step()) return absl::NotFoundError(absl::StrCat("no prompt set promptSets/", digest));
  return ToInfo(query);
}

PromptSetPage ListPromptSets(Connection* connection, std::int64_t before, std::int32_t limit) {
  Query query(connection->Prepare("SELECT " UAQF_SET_COLUMNS
                                  "FROM prompt_set WHERE ?1 = 0 OR seq < ?1 ORDER BY seq DESC LIMIT ?2"));
  query.Bind(before, std::int64_t{limit} + 1);
  PromptSetPage page;
  std::int64_t last = 0;
  while (query.Step()) {
    if (static_cast<std::int32_t>(page.sets.size()) == limit) {
      page.next = last;
      break;
    }
    last = query.Int(0);
    page.sets.push_back(ToInfo(query));
  }
  return page;
}

absl::StatusOr<std::vector<PromptItem>> ReadPrompts(Connection* connection, const std::string& digest,
                                                    std::int32_t first, std::int32_t limit) {
  if (auto info = GetPromptSet(connection, digest); !info.ok()) return info.status();
  Query query(
      connection->Prepare("SELECT p.id, p.category, p.body FROM prompt_set s JOIN prompt p ON p.prompt_set = s.seq "
                          "WHERE s.digest = ?1 AND p.item >= ?2 AND p.item < ?2 + ?3 ORDER BY p.item"));
  query.Bind(digest, std::int64_t{first}, std::int64_t{limit});
  std::vector<PromptItem> items;
  while (query.Step()) items.push_back({query.Text(0), query.Text(1), query.Text(2)});
  return items;
}

absl::Status CreateProfile(Connection* connection, const StoredProfile& profile) {
  if (GetProfile(connection, profile.name).ok()) {
    return absl::AlreadyExistsError(
        absl::StrCat("a profile named ", profile.name, " exists: delete it first, or choose another name"));
  }
  Query(connection->Prepare("INSERT INTO profile VALUES(?1, ?2)")).Bind(profile.name, Blob{profile.blob}).Run();
  return absl::OkStatus();
}

absl::StatusOr<StoredProfile> GetProfile(Connection* connection, const std::string& name) {
  Query query(connection->Prepare("SELECT name, body FROM profile WHERE name = ?1"));
  if (!query.Bind(name).Step()) return absl::NotFoundError(absl::StrCat("no profile ", name));
  return StoredProfile{query.Text(0), query.Text(1)};
}

std::vector<StoredProfile> ListProfiles(Connection* connection, const std::string& after, std::int32_t limit) {
  Query query(connection->Prepare("SELECT name, body FROM profile WHERE name > ?1 ORDER BY name LIMIT ?2"));
  query.Bind(after, limit);
  std::vector<StoredProfile> profiles;
  while (query.Step()) profiles.push_back({query.Text(0), query.Text(1)});
  return profiles;
}

}  // namespace uaqf::store
