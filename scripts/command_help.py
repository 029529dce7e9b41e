"""What the program says of itself: the help of each command and the keys of a configuration, as data.

The manual page and the completion of bash are made of it, so that they cannot differ from the program.
"""

import dataclasses
import re
import subprocess

import make_docs

OPTION = re.compile(r"  (?P<names>\S+)(?: (?P<rest>.*?))?(?:  +(?P<meaning>.+))?")
VALUE = re.compile(r"(?P<type>KEY=VALUE|\w+)(?::\w+ in \[(?P<low>\S+) - (?P<high>\S+)\])?(?::\{(?P<choices>.*?)\})?"
                   r"(?:=(?P<default>\S+))?(?P<many> \.\.\.)?")


@dataclasses.dataclass
class Option:
    """An option, a positional argument or a subcommand."""

    names: list
    meaning: str
    value: str = ""     # placeholder of its value: FILE, N
    choices: tuple = ()
    range: str = ""
    default: str = ""
    required: bool = False


@dataclasses.dataclass
class Command:
    name: str           # empty: the program itself
    description: str
    usage: str
    sections: dict      # "Positionals", "Options", "Subcommands": lists of Option
    footer: dict        # "Examples", "Exit status": lists of lines

    def section(self, title):
        return self.sections.get(title, [])


def option_of(lines):
    """Of the lines of one entry of the help."""
    found = OPTION.fullmatch(lines[0])
    meaning = " ".join([found["meaning"] or "", *(line.strip() for line in lines[1:])]).strip()
    rest = (found["rest"] or "").partition("Needs: ")[0]      # the meaning says it too
    rest, required = rest.replace("REQUIRED", "").strip(), "REQUIRED" in rest
    value = VALUE.fullmatch(rest)
    if rest and not value:
        raise ValueError(f"the help has changed its form: {lines[0]!r}")
    option = Option(found["names"].split(","), meaning, required=required)
    if rest:
        option.value = value["type"] + (value["many"] or "")
        option.choices = tuple((value["choices"] or "").split(",")) if value["choices"] else ()
        option.range = f"{value['low']} to {value['high']}" if value["low"] else ""
        option.default = (value["default"] or "").strip("[]")
    return option


def parse_help(name, text):
    """The help of a command as a Command."""
    lines = text.rstrip().split("\n")
    command = Command(name, lines[0], lines[1].removeprefix("Usage: "), {}, {})
    entries = target = None
    for line in lines[2:]:
        heading = re.fullmatch(r"(\w[\w ]*):", line)
        if heading:
            title = heading[1] + "s" if heading[1] == "Example" else heading[1]
            is_list = title in ("Positionals", "Options", "Subcommands")
            entries = []
            (command.sections if is_list else command.footer)[title] = entries
            target = is_list
        elif not line.strip() or entries is None:
            continue
        elif not line.startswith(" "):
            entries = None      # a sentence of the footer
        elif target and not line.startswith("   "):
            entries.append([line])
        elif target:
            entries[-1].append(line)
        else:
            entries.append(line.strip())
    command.sections = {title: [option_of(entry) for entry in entries] for title, entries in command.sections.items()}
    return command


class Program:
    """The program as it describes itself."""

    def __init__(self, command):
        """@param command  a list of words that starts it on one rank"""
        def said(*arguments):
            return subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout

        self.version = said("--version").split()[1]
        self.main = parse_help("", said("--help"))
        self.commands = [parse_help(name, said(name, "--help"))
                         for entry in self.main.section("Subcommands") for name in entry.names]
        self.keys = list(make_docs.keys_of(said("--describe")))
