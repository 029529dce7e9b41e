#!/usr/bin/env python3
"""Makes the manual page, and the completion of bash, of what the program says of itself: its help, that of its commands,
and --describe. `make install` calls it.

    python3 scripts/make_man.py --man pruntrain.1 --completion pruntrain.bash ./pruntrain
    python3 scripts/make_man.py --man pruntrain.1 mpirun -n 1 ./pruntrain     # where it does not start without
"""

import argparse
import pathlib
import re

from bash_completion import completion
from command_help import Program

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "python" / "pruntrain"
FILES = [
    ("{prefix}/share/pruntrain/inputs", "complete configurations, each with the result to expect"),
    ("{prefix}/share/pruntrain/scripts/report.py", "makes an HTML page of one or more runs"),
    ("{prefix}/share/pruntrain/scripts/pruntrain_io.py", "converts checkpoints to CSR matrices, PyTorch and ONNX, and PyTorch "
     "weights to a file that a run starts from"),
    ("{prefix}/share/pruntrain/" + ("python" if PACKAGE.is_dir() else "scripts"),
     f"what Python imports: set PYTHONPATH to this folder, then import {'pruntrain' if PACKAGE.is_dir() else 'pruntrain_io'}"),
    ("runs/NAME", "a run: config.yaml (with all defaults), history.csv, layers.csv, summary.json, checkpoints/step_*.h5"),
]


def escaped(text):
    """As roff wants it: no escape, no request at the start of a line, hyphens that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha") \
        .replace("~", "\\(ti")
    return re.sub(r"^(?=\.)", r"\\&", text, flags=re.MULTILINE)


def bold(text):
    return f"\\fB{escaped(text)}\\fR"


def italic(text):
    return f"\\fI{escaped(text)}\\fR"


def entry(head, meaning):
    return f".TP\n{head}\n{escaped(meaning)}\n"


def option_entry(option):
    head = ", ".join(map(bold, option.names)) if option.names[0].startswith("-") else italic(option.names[0])
    if option.value and option.names[0].startswith("-"):
        head += " " + italic(option.value)
    facts = [f"one of {', '.join(option.choices)}" if option.choices else "", option.range,
             f"default {option.default}" if option.default else ""]
    facts = "; ".join(fact for fact in facts if fact)
    return entry(head, option.meaning + (f" ({facts})" if facts else ""))


def options_of(command):
    return "".join(option_entry(option) for title in ("Positionals", "Options") for option in command.section(title))


def key_entry(key):
    value = key["type"] + (f", {key['allowed']}" if key["allowed"] not in (None, "any") else "")
    default = f"default {key['default']}" if key["default"] else "required"
    head = bold(key["key"]) + (f" ({escaped(key['member'])})" if key["member"] else "")
    return f".TP\n{head}\n{escaped(key['meaning'])}\n.br\n{escaped(value)}; {escaped(default)}\n"


def lines_of(lines):
    return ".nf\n" + "".join(escaped(line) + "\n" for line in lines) + ".fi\n"


def statuses(lines):
    for line in lines:
        status, meaning = line.split(maxsplit=1)
        yield entry(bold(status), meaning)


def page(program, prefix):
    main = program.main
    usages = [main.usage] + [command.usage for command in program.commands]
    pieces = [
        '.\\" Made by scripts/make_man.py of what pruntrain says of itself.\n',
        f'.TH PRUNTRAIN 1 "" "pruntrain {program.version}" "User Commands"\n',
        ".SH NAME\npruntrain \\- train neural networks over MPI ranks and prune them while they train\n",
        ".SH SYNOPSIS\n", *(f"{'' if i == 0 else '.br' + chr(10)}{escaped(usage)}\n" for i, usage in enumerate(usages)),
        f".SH DESCRIPTION\n{escaped(main.description)}\n",
        "It is started with mpirun(1) or the launcher of a batch system, and reads one YAML file.\n",
        ".SH OPTIONS\n", options_of(main),
        ".SH COMMANDS\n",
        *(f".SS {command.name}\n{escaped(command.description)}\n{options_of(command)}" for command in program.commands),
        ".SH CONFIGURATION KEYS\n",
        "A key is set in the YAML file, or on the command line by its path: train.epochs=5, model.1.units=100.\n",
        "[] is the index of an entry of a list, from 0.\n",
        "In parentheses: for which type, format or layer there is such a key.\n",
        *map(key_entry, program.keys),
        ".SH EXIT STATUS\n", *statuses(main.footer["Exit status"]),
        ".SH EXAMPLES\n", lines_of(line.replace("./pruntrain", "pruntrain") for line in main.footer["Examples"]),
        ".SH FILES\n", *(entry(italic(path.format(prefix=prefix)), meaning.format(prefix=prefix)) for path, meaning in FILES),
        ".SH SEE ALSO\nmpirun(1)\n",
    ]
    return "".join(pieces)


def main():
    parser = argparse.ArgumentParser(description="Makes the manual page and the completion of bash.")
    parser.add_argument("--man", type=pathlib.Path, help="file for the manual page")
    parser.add_argument("--completion", type=pathlib.Path, help="file for the completion")
    parser.add_argument("--prefix", default="/usr/local", help="where the program will be installed")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="the program, and what starts it on one rank")
    arguments = parser.parse_args()
    program = Program(arguments.program)
    if arguments.man:
        arguments.man.write_text(page(program, arguments.prefix))
    if arguments.completion:
        arguments.completion.write_text(completion(program))


if __name__ == "__main__":
    main()
