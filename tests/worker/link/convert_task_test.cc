// Tasks of the wire as the worker sees them.
#include "worker/link/convert_task.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

namespace uaqf::link {
namespace {

using measure::TaskKind;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(ToTask, KeepsWhatMakesAnAnswerRight) {
  v1::Task task;
  task.add_stop("\n");
  task.set_max_output_tokens(32);
  task.mutable_short_answer()->add_answers("Paris");
  task.mutable_short_answer()->add_answers("City of Light");
  measure::Task got = ToTask(task);
  EXPECT_EQ(got.kind, TaskKind::kShortAnswer);
  EXPECT_THAT(got.answers, ElementsAre("Paris", "City of Light"));
  EXPECT_THAT(got.stops, ElementsAre("\n"));
  EXPECT_EQ(got.max_output_tokens, 32);
  task.mutable_numeric()->set_value("2,125");
  EXPECT_THAT(ToTask(task).answers, ElementsAre("2,125"));
  v1::ChoiceAnswer& choice = *task.mutable_choice();
  for (const char* label : {"A", "B"}) choice.add_choices()->set_label(label);
  choice.set_label("B");
  got = ToTask(task);
  EXPECT_EQ(got.kind, TaskKind::kChoice);
  EXPECT_THAT(got.labels, ElementsAre("A", "B"));
  EXPECT_THAT(got.answers, ElementsAre("B"));
  task.mutable_open()->set_instruction("Say it.");
  EXPECT_EQ(ToTask(task).asked, "Say it.");
}

// A field added to the message must come along, or an instruction would be refused for lack of it.
TEST(ToTask, PassesEveryArgumentOfAnInstruction) {
  v1::Task task;
  v1::Instruction& instruction = *task.mutable_instructions()->add_instructions();
  instruction.set_id("keywords:existence");
  const google::protobuf::Reflection* reflection = instruction.GetReflection();
  const google::protobuf::Descriptor* fields = instruction.GetDescriptor();
  for (int i = 0; i < fields->field_count(); ++i) {
    const google::protobuf::FieldDescriptor* field = fields->field(i);
    if (field->name() == "id") continue;
    if (field->is_repeated()) {
      reflection->AddString(&instruction, field, "word");
    } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      reflection->SetString(&instruction, field, "text");
    } else {
      reflection->SetInt32(&instruction, field, 3);
    }
  }
  const measure::Task got = ToTask(task);
  ASSERT_EQ(got.instructions.size(), 1u);
  EXPECT_EQ(got.instructions[0].id, "keywords:existence");
  EXPECT_EQ(got.instructions[0].arguments.size(), static_cast<size_t>(fields->field_count()) - 1);
  EXPECT_EQ(got.instructions[0].arguments.count("section_spliter"), 1u) << "as the file spells it";
}

TEST(ToTask, OfAnUnknownKindHasNothingToCompareWith) { EXPECT_THAT(ToTask(v1::Task()).answers, IsEmpty()); }

}  // namespace
}  // namespace uaqf::link
