# Writes the files of prompts/ into a source file. Run as: cmake -D OUT=file.cc -D FOLDER=prompts -D CATEGORIES="a b" -P …
string(REPLACE " " ";" categories "${CATEGORIES}")
set(body "")
foreach(category ${categories})
  file(READ "${FOLDER}/${category}.jsonl" bytes)
  string(APPEND body "    {\"${category}\", R\"jsonl(${bytes})jsonl\"},\n")
endforeach()
file(WRITE "${OUT}" "// Made from prompts/*.jsonl by cmake/EmbedPrompts.cmake.
#include \"client/datasets/own_prompts.h\"

namespace uaqf::client {

const std::array<OwnPromptFile, 9> kOwnPromptFiles = {{
${body}}};

}  // namespace uaqf::client
")
