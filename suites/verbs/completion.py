"""The verb ``completion``: print a script that completes verbs, keys and registered names in a shell."""

from __future__ import annotations

from importlib import import_module

from strategies.search.options import SEARCHES

from ..settings.catalog import did_you_mean, group
from ..settings.config import ATTENTION, DEVICES, DTYPES, EXECUTIONS, LINEARS, WEIGHTS, ConfigError, known_keys
from ..settings.search import EARLY
from . import VERBS
from .run_flags import FLAGS as RUN_FLAGS
from .run_flags import RESUME

KEYED = ("run", "shapes", "profile")
"""Verbs that take the keys of ``run``."""
FLAGS = {
    "run": [*RUN_FLAGS, RESUME, "--legend"],
    "list": ["--json", "strategies", "models", "sweeps", "metrics", "contenders"],
    "roofline": ["threads=", "device="],
    "completion": ["bash", "zsh", "fish"],
}
"""Words that may follow a verb, besides the flags of its parser."""
GLOBAL = ("--help", "--version")
FOLDERS = ("collect", "compare", "history", "report", "plot")
"""Verbs whose arguments are run folders."""
HELP = """\
usage: decodebench completion bash|zsh|fish

A script that completes verbs, keys, strategies, models and sweeps; made from what is registered now. For good:

  bash   decodebench completion bash > ~/.local/share/bash-completion/completions/decodebench
  zsh    decodebench completion zsh > ~/.zfunc/_decodebench      (with fpath+=~/.zfunc before compinit)
  fish   decodebench completion fish > ~/.config/fish/completions/decodebench.fish
"""
BASH = """\
# Completion of decodebench in bash. A word is completed whole, KEY=VALUE too, though bash breaks words at "=".
_decodebench() {{
  local line="${{COMP_LINE:0:COMP_POINT}}" word verb words reply
  word="${{line##*[[:space:]]}}"
  verb="${{COMP_WORDS[1]}}"
  if [[ $COMP_CWORD -le 1 ]]; then words="{verbs}"; else
    case "$verb" in
{cases}
    esac
  fi
  COMPREPLY=()
  for reply in $words; do
    [[ "$reply" == "$word"* ]] || continue
    # What stands before the last "=" of the word is there already, as far as bash is concerned.
    if [[ "$word" == *=* && "$COMP_WORDBREAKS" == *=* ]]; then reply="${{reply#"${{word%"${{word##*=}}"}}"}}"; fi
    COMPREPLY+=("$reply")
  done
  case "$verb" in {folders}) compopt -o default -o filenames; COMPREPLY+=($(compgen -d -- "$word")) ;; esac
  if [[ ${{#COMPREPLY[@]}} -eq 0 ]]; then compopt -o default; fi
  if [[ ${{#COMPREPLY[@]}} -eq 1 && "${{COMPREPLY[0]}}" == *= ]]; then compopt -o nospace; fi
}}
complete -F _decodebench decodebench
"""
ZSH = """\
#compdef decodebench
# Completion of decodebench in zsh.
if (( CURRENT == 2 )); then
  compadd -- {verbs}
else
  case "$words[2]" in
{cases}
  esac
fi
"""


def words_of(verb: str) -> list[str]:
    """Return the words that may follow a verb: flags and, if it takes keys, each key with its known values."""
    parser = getattr(import_module(f"suites.verbs.{verb}"), "_parser", None)
    flags = parser()._option_string_actions if parser else {"--help": None}
    found = [*FLAGS.get(verb, []), *(flag for flag in flags if flag.startswith("--"))]
    if verb in KEYED:
        from strategies.strategy import registry

        from ..contenders import registry as contenders

        values = {
            "strategies": ["core", "grid", "all", *registry()],
            "contenders": ["all", *contenders()],
            "device": list(DEVICES),
            "dtype": list(DTYPES),
            "linear": list(LINEARS),
            "weights": list(WEIGHTS),
            "execution": list(EXECUTIONS),
            "attention": list(ATTENTION),
            "tf32": ["true", "false"],
            "model": list(group("model")),
            "measure": list(group("measure")),
            "search": list(group("search")),
            "search.kind": list(SEARCHES),
            "search.early_stopping": list(EARLY),
            "cluster": list(group("cluster")),
            "plots": ["true", "false"],
            "report": ["true", "false"],
        }
        for key in known_keys():
            found += [f"{key}={value}" for value in values.get(key, [""])]
        found += [f"+sweep={name}" for name in group("sweep")] if verb == "run" else []
        found += ["k="] if verb == "shapes" else []
    return found


def script(shell: str) -> str:
    """Return the script for bash, zsh or fish."""
    known = {verb: words_of(verb) for verb in VERBS}
    if shell == "fish":
        first = "__fish_use_subcommand"
        lines = [f"complete -c decodebench -n {first} -f -a {verb} -d {_quoted(told)}" for verb, told in VERBS.items()]
        lines.append(f"complete -c decodebench -n {first} -f -a {_quoted(' '.join(GLOBAL))}")
        for verb, words in known.items():
            files = "" if verb in FOLDERS else " -f"
            seen = f"'__fish_seen_subcommand_from {verb}'"
            lines.append(f"complete -c decodebench -n {seen}{files} -a {_quoted(' '.join(words))}")
        return "# Completion of decodebench in fish.\n" + "\n".join(lines) + "\n"
    if shell == "bash":
        cases = "\n".join(f"      {verb}) words={_quoted(' '.join(words))} ;;" for verb, words in known.items())
        return BASH.format(verbs=" ".join([*VERBS, *GLOBAL]), cases=cases, folders="|".join(FOLDERS))
    cases = "\n".join(
        f"    {verb}) {_compadd(words)}{'; _files -/' if verb in FOLDERS else ''} ;;" for verb, words in known.items()
    )
    return ZSH.format(verbs=" ".join([*VERBS, *GLOBAL]), cases=cases)


def _compadd(words: list[str]) -> str:
    """Write the words as compadd in zsh takes them; no space follows a key, because its value comes next."""
    parts = [("-- ", [w for w in words if not w.endswith("=")]), ("-S '' -- ", [w for w in words if w.endswith("=")])]
    return "; ".join(f"compadd {how}{' '.join(map(_quoted, some))}" for how, some in parts if some)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def main(arguments: list[str]) -> int:
    """Print the script. Raises ConfigError if the shell is not known."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    shells = FLAGS["completion"]
    if len(arguments) != 1 or arguments[0] not in shells:
        given = " ".join(arguments) or "nothing"
        raise ConfigError(f"completion: {given}: {did_you_mean(given, shells)}give one of {', '.join(shells)}")
    print(script(arguments[0]), end="")
    return 0
