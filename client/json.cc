#include "client/json.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "client/failure.h"

namespace uaqf::client {

std::string ToJson(const google::protobuf::Message& message, bool compact) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !compact;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  // Printing fails only for a duration or timestamp out of range, which a peer may send.
  if (!status.ok()) return absl::StrCat("{\"error\": \"", std::string(status.message()), "\"}\n");
  if (text.empty() || text.back() != '\n') text += '\n';
  return text;
}

absl::Status FromJson(absl::string_view text, const std::string& source, google::protobuf::Message* message) {
  const auto status = google::protobuf::util::JsonStringToMessage(std::string(text), message);
  if (status.ok()) return absl::OkStatus();
  return UsageError(absl::StrCat("cannot read ", source, " as ", message->GetDescriptor()->full_name(), ": ",
                                 std::string(status.message()),
                                 "\nexpected its protobuf JSON; a command with flags prints one: uaqf jobs submit … "
                                 "--dry-run"));
}

}  // namespace uaqf::client
