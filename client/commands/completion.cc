// Shell completion, written from the commands themselves: words of a command, its flags, and the values of flags that
// take one of a list. Everything else completes to file names.
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/commands/commands.h"

namespace uaqf::client {
namespace {

std::vector<const CLI::App*> Commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// The list a flag chooses from, as its type is shown: "TEXT:{a,b}". Empty for other flags.
std::string Choices(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}');
  if (open == std::string::npos || close == std::string::npos) return "";
  return absl::StrReplaceAll(type.substr(open + 1, close - open - 1), {{",", " "}});
}

std::vector<std::string> Flags(const CLI::App& app) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back(absl::StrCat("--", name));
  }
  return flags;
}

struct Script {
  std::string paths;    // "jobs"|"jobs list"|…: words that lead to a command
  std::string words;    // case arms: path to its words
  std::string choices;  // case arms: path and flag to the values
};

void Describe(const CLI::App& app, const std::string& path, const std::vector<std::string>& common, Script* script) {
  std::vector<std::string> words;
  for (const CLI::App* command : Commands(app)) words.push_back(command->get_name());
  const std::vector<std::string> flags = Flags(app);
  words.insert(words.end(), flags.begin(), flags.end());
  words.insert(words.end(), common.begin(), common.end());
  absl::StrAppend(&script->words, "    \"", path, "\") words=\"", absl::StrJoin(words, " "), "\" ;;\n");
  for (const CLI::Option* option : app.get_options()) {
    const std::string values = Choices(*option);
    if (values.empty() || option->get_lnames().empty()) continue;
    // Flags of the whole program may stand behind any command.
    const std::string where = path.empty() ? "*" : absl::StrCat("\"", path, "\"");
    absl::StrAppend(&script->choices, "    ", where, "\" --", option->get_lnames()[0], "\") words=\"", values,
                    "\" ;;\n");
  }
  for (const CLI::App* command : Commands(app)) {
    const std::string inner = path.empty() ? command->get_name() : absl::StrCat(path, " ", command->get_name());
    absl::StrAppend(&script->paths, script->paths.empty() ? "" : "|", "\"", inner, "\"");
    Describe(*command, inner, common, script);
  }
}

constexpr char kBash[] = R"(_uaqf() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path= next= words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="${path:+$path }${COMP_WORDS[i]}"
    case "$next" in
      @PATHS@) path=$next ;;
    esac
  done
  case "$path" in
@WORDS@  esac
  case "$path $previous" in
@CHOICES@  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _uaqf uaqf
)";

std::string ScriptFor(const CLI::App& app, const std::string& shell) {
  Script script;
  std::vector<std::string> common;
  for (const std::string& flag : Flags(app)) {
    if (flag != "--help" && flag != "--version") common.push_back(flag);
  }
  Describe(app, "", common, &script);
  const std::string bash =
      absl::StrReplaceAll(kBash, {{"@PATHS@", script.paths}, {"@WORDS@", script.words}, {"@CHOICES@", script.choices}});
  if (shell == "bash") return bash;
  return absl::StrCat("#compdef uaqf\nautoload -U +X bashcompinit && bashcompinit\n", bash);
}

}  // namespace

void AddCompletion(CLI::App& app, Context& context) {
  auto shell = std::make_shared<std::string>();
  CLI::App* completion =
      AddCommand(app, "completion", "Print a completion script for a shell", "source <(uaqf completion bash)");
  completion->add_option("SHELL", *shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
  OnCommand(completion, context, [&app, &context, shell] {
    context.Print(ScriptFor(app, *shell));
    return absl::OkStatus();
  });
}

}  // namespace uaqf::client
