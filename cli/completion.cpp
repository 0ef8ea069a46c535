#include "cli/completion.hpp"

#include <fmt/core.h>

#include <functional>
#include <vector>

#include "cli/commands.hpp"
#include "core/version.hpp"

namespace crosstile::cli {

namespace {

using Path = std::vector<const CLI::App*>;  // from the program to a command

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

void visit_commands(const CLI::App& app, Path path, const std::function<void(const Path&)>& visit) {
  path.push_back(&app);
  visit(path);
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    visit_commands(*command, path, visit);
}

// "fit", "study mnist-irdrop"; empty for the program itself.
std::string command_line_of(const Path& path) {
  std::vector<std::string> words;
  for (std::size_t k = 1; k < path.size(); ++k) words.push_back(path[k]->get_name());
  return joined(words, " ");
}

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

// Flags of a command that the path reaches: its own, and those of the program.
std::vector<const CLI::Option*> flags_of(const Path& path) {
  std::vector<const CLI::Option*> flags;
  const auto add = [&](const CLI::App& app) {
    for (const CLI::Option* option : app.get_options([](const CLI::Option*) { return true; }))
      if (!option->get_lnames().empty()) flags.push_back(option);
  };
  add(*path.back());
  if (path.size() > 1)
    for (const CLI::Option* option : path.front()->get_options([](const CLI::Option*) { return true; }))
      if (!option->get_lnames().empty() && option->get_lnames().front() != "help" &&
          option->get_lnames().front() != "version")
        flags.push_back(option);
  return flags;
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

// Of "TEXT:{a,b,c}": a, b, c; nothing where any value is allowed.
std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const auto begin = type.find('{'), end = type.find('}');
  std::vector<std::string> choices;
  if (begin == std::string::npos || end == std::string::npos) return choices;
  for (std::size_t at = begin + 1; at < end;) {
    const auto comma = std::min(type.find(',', at), end);
    choices.push_back(type.substr(at, comma - at));
    at = comma + 1;
  }
  return choices;
}

// Shell cases, one a command and one a flag with a closed list of values: the same for bash and zsh.
std::string word_cases(const CLI::App& app) {
  std::string cases;
  visit_commands(app, {}, [&](const Path& path) {
    std::vector<std::string> words = subcommand_names(*path.back());
    for (const CLI::Option* flag : flags_of(path)) words.push_back("--" + flag->get_lnames().front());
    cases += fmt::format("    \"{}\") words=\"{}\" ;;\n", command_line_of(path), joined(words, " "));
  });
  return cases;
}

std::string value_cases(const CLI::App& app) {
  std::string cases;
  visit_commands(app, {}, [&](const Path& path) {
    for (const CLI::Option* flag : flags_of(path))
      if (const auto choices = choices_of(*flag); !choices.empty())
        cases += fmt::format("    \"{} --{}\") values=\"{}\" ;;\n", command_line_of(path),
                             flag->get_lnames().front(), joined(choices, " "));
  });
  return cases;
}

std::string known_commands(const CLI::App& app) {
  std::vector<std::string> commands;
  visit_commands(app, {}, [&](const Path& path) {
    if (path.size() > 1) commands.push_back("\"" + command_line_of(path) + "\"");
  });
  return joined(commands, "|");
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::string single_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text)
    out += c == '\'' ? std::string("\\'") : c == '\\' ? std::string("\\\\") : std::string(1, c);
  return out + "'";
}

// Text of a manual page: a line must not begin with a dot, a backslash and a hyphen are written as such.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string value_name(const CLI::Option& option) {
  const auto choices = choices_of(option);
  return choices.empty() ? first_line(option.get_type_name().substr(0, option.get_type_name().find(':')))
                         : joined(choices, "|");
}

std::string roff_flags(const CLI::App& command) {
  std::string page;
  for (const CLI::Option* option : command.get_options([](const CLI::Option*) { return true; })) {
    const bool named = !option->get_lnames().empty();
    if (named && option->get_lnames().front() == "help") continue;
    const std::string name = named ? "--" + option->get_lnames().front() : option->get_name();
    page += ".TP\n\\fB" + roff(name) + "\\fR";
    if (named && takes_value(*option)) page += " \\fI" + roff(value_name(*option)) + "\\fR";
    page += "\n" + roff(option->get_description().empty() ? name : option->get_description()) + "\n";
  }
  return page;
}

// Words of the command line that name the command so far; bash and zsh differ only in how words are counted
// and offered.
constexpr const char* kBash = R"(# bash completion of crosstile: source <(crosstile completion bash)
_crosstile() {{
  local command="" words="" values="" word k
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
  for ((k = 1; k < COMP_CWORD; k++)); do
    word="${{COMP_WORDS[k]}}"
    case "${{command:+$command }}$word" in
    {0}) command="${{command:+$command }}$word" ;;
    esac
  done
  case "$command $previous" in
{1}  esac
  if [ -n "$values" ]; then
    COMPREPLY=($(compgen -W "$values" -- "$current"))
    return
  fi
  case "$command" in
{2}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "$current" in
  -*) ;;
  *) [ -n "$command" ] && COMPREPLY+=($(compgen -f -- "$current")) ;;
  esac
}}
complete -o filenames -F _crosstile crosstile
)";

constexpr const char* kZsh = R"(#compdef crosstile
# zsh completion of crosstile: crosstile completion zsh > _crosstile, in a folder of $fpath
_crosstile() {{
  local command="" words_here="" values="" word k
  for ((k = 2; k < CURRENT; k++)); do
    word="${{words[k]}}"
    case "${{command:+$command }}$word" in
    {0}) command="${{command:+$command }}$word" ;;
    esac
  done
  case "$command ${{words[CURRENT-1]}}" in
{1}  esac
  if [[ -n "$values" ]]; then
    compadd -- ${{=values}}
    return
  fi
  case "$command" in
{2}  esac
  compadd -- ${{=words_here}}
  [[ -n "$command" && "${{words[CURRENT]}}" != -* ]] && _files
}}
if [[ "$funcstack[1]" == "_crosstile" ]]; then _crosstile "$@"; else compdef _crosstile crosstile; fi
)";

std::string replaced_all(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  return fmt::format(kBash, known_commands(app), value_cases(app), word_cases(app));
}

std::string zsh_completion(const CLI::App& app) {
  return fmt::format(kZsh, known_commands(app), value_cases(app),
                     replaced_all(word_cases(app), ") words=", ") words_here="));
}

std::string fish_completion(const CLI::App& app) {
  std::string text = "# fish completion of crosstile: crosstile completion fish | source\n";
  visit_commands(app, {}, [&](const Path& path) {
    std::string condition = "__fish_use_subcommand";
    if (path.size() > 1) {
      condition.clear();
      for (std::size_t k = 1; k < path.size(); ++k)
        condition +=
            (k > 1 ? "; and " : "") + std::string("__fish_seen_subcommand_from ") + path[k]->get_name();
    }
    for (const CLI::App* command : path.back()->get_subcommands([](const CLI::App*) { return true; }))
      text += fmt::format("complete -c crosstile -f -n '{}' -a {} -d {}\n", condition, command->get_name(),
                          single_quoted(first_line(command->get_description())));
    for (const CLI::Option* flag : flags_of(path)) {
      const auto choices = choices_of(*flag);
      text += fmt::format("complete -c crosstile -n '{}' -l {}{}{} -d {}\n", condition,
                          flag->get_lnames().front(), takes_value(*flag) ? " -r" : "",
                          choices.empty() ? "" : " -f -a '" + joined(choices, " ") + "'",
                          single_quoted(first_line(flag->get_description())));
    }
  });
  return text;
}

std::string manual_page(const CLI::App& app) {
  std::string page = fmt::format(".TH CROSSTILE 1 \"\" \"crosstile {}\" \"User Commands\"\n", kVersion);
  page += ".SH NAME\ncrosstile \\- circuit\\-level modeling of analog in\\-memory computing\n";
  page += ".SH SYNOPSIS\n\\fBcrosstile\\fR \\fICOMMAND\\fR [\\fIflags\\fR]\n";
  page += ".SH DESCRIPTION\n" + roff(app.get_description()) + "\n.SH FLAGS OF EVERY COMMAND\n" +
          roff_flags(app) + ".SH COMMANDS\n";
  visit_commands(app, {}, [&](const Path& path) {
    if (path.size() < 2) return;
    page += ".SS crosstile " + roff(command_line_of(path)) + "\n" + roff(path.back()->get_description()) +
            "\n" + roff_flags(*path.back());
    const std::string footer = path.back()->get_footer();
    if (const auto example = footer.find("  crosstile"); example != std::string::npos)
      page += ".PP\nExample:\n.PP\n.nf\n" +
              roff(footer.substr(example, footer.find('\n', example) - example)) + "\n.fi\n";
  });
  page += ".SH EXIT CODES\n.nf\n" + roff(app.get_footer()) + "\n.fi\n";
  return page;
}

void add_completion_command(CLI::App& app, Program& program) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = add_command(
      app, "completion",
      "Prints the completion script of a shell, or the manual page: made from the flags of this program.",
      "source <(crosstile completion bash)");
  command->add_option("SHELL", *shell, "bash, zsh, fish, or man for the manual page")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish", "man"}));
  command->callback([shell, &app, &program] {
    program.action = [shell, &app, &program] {
      std::string text = *shell == "bash"   ? bash_completion(app)
                         : *shell == "zsh"  ? zsh_completion(app)
                         : *shell == "fish" ? fish_completion(app)
                                            : manual_page(app);
      program.result["command"] = "completion";
      program.result["text"] = text;
      text.pop_back();  // say() ends the line
      program.say(text);
    };
  });
}

}  // namespace crosstile::cli
