#!/usr/bin/python3
"""Makes docs/configuration.md of what ./pruntrain --describe prints.

    python3 scripts/make_docs.py                # writes the page
    python3 scripts/make_docs.py --output -     # prints it
"""

import argparse
import collections
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/configuration.md"
CLUSTER = "--cluster FILE"      # what --describe says of the keys that are in a file of their own
INTRODUCTION = """# Configuration

All keys, made by `python3 scripts/make_docs.py` of what `./pruntrain --describe` prints. A key that is not here is an error,
whose message names the nearest one. `config.yaml` in the folder of a run has every key with its value.

- A key of the YAML file is set, or replaced, on the command line by its path: `train.epochs=5`, `prune.schedule.end_epoch=3`,
  in a list with the number of the entry, `model.1.units=100`. The value is YAML: `data.shape='[1, 8, 8]'` replaces a list,
  `prune.schedule='{type: one_shot, at_step: 0}'` a section.
- Where a section has a `type`, `criterion: magnitude` is short for `criterion: {type: magnitude}`.
- *With* says for which type, format or layer there is such a key; empty: for all.
- A time is given in updates (`start_step`) or in epochs (`start_epoch`), not both. Defaults of `start_epoch` and `end_epoch` in
  the `prune` section are shares of the run: 0.5 is half of its epochs; a phase of `ac_dc` is five epochs if nothing is given.
- Without a `prune` section nothing is pruned.
"""
READ_ON = {"run": "[tutorial.md](tutorial.md)", "train": "[ranks.md](ranks.md) for `sum` and `slices`",
           "parallel": "[ranks.md](ranks.md#a-grid-of-replicas-and-shards)",
           "checkpoint": "[checkpoint_format.md](checkpoint_format.md)", "data": "[tutorial.md](tutorial.md#own-data)",
           "prune": "[methods.md](methods.md), [compatibility.md](compatibility.md)", CLUSTER: "[scaling.md](scaling.md)"}

BLOCK = re.compile(r"(?P<key>\S+)(?:   \((?P<member>.+)\))?\n    (?P<meaning>.+)\n"
                   r"    (?P<type>text|word|number|whole number|true or false|list of numbers)(?:, (?P<allowed>.+))?; "
                   r"(?:required|default (?P<default>.+))")


def keys_of(description):
    """The keys of --describe: dictionaries of the groups of BLOCK, None where there is no such part."""
    for block in re.split(r"\n(?=\S)", description.strip()):
        found = BLOCK.fullmatch(block)
        if not found:
            raise ValueError(f"--describe has changed its form: {block!r}")
        yield found.groupdict()


def section_of(key):
    if key["member"] == CLUSTER:
        return CLUSTER
    return key["key"].rpartition(".")[0].removesuffix(".sparsity")  # per_layer's table of layers is no section


def value_of(key):
    if key["type"] == "word":
        return ", ".join(f"`{word}`" for word in key["allowed"].split(" | "))
    return key["type"] + (f", {key['allowed']}" if key["allowed"] not in (None, "any") else "")


def default_of(key, names):
    if key["default"]:
        return f"`{key['default']}`"
    path, dot, name = key["key"].rpartition(".")
    other = re.sub("step|epoch", lambda word: {"step": "epoch", "epoch": "step"}[word[0]], name)
    return f"or `{other}`" if other != name and path + dot + other in names else "required"


def table_of(section, keys):
    """Rows that differ in their member only are one row."""
    names = {key["key"] for key in keys}
    rows = collections.defaultdict(list)
    for key in keys:
        row = f"`{key['key'].removeprefix(section + '.')}`", value_of(key), default_of(key, names), key["meaning"]
        rows[row].append(key["member"] if section != CLUSTER else None)
    has_members = any(member for members in rows.values() for member in members)
    yield f"| key |{' with |' * has_members} value | default | meaning |\n|---|{'---|' * has_members}---|---|---|\n"
    for (name, *cells), members in rows.items():
        if has_members:     # "type: adam", "type: adamw": type: adam, adamw
            kind = members[0].partition(" ")[0] if members[0] else ""
            cells.insert(0, " ".join([kind, ", ".join(f"`{member.removeprefix(kind + ' ')}`" for member in members if member)]).strip())
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in (name, *cells)) + " |\n"


def page(description):
    sections = collections.defaultdict(list)
    for key in keys_of(description):
        sections[section_of(key)].append(key)
    tops = list(dict.fromkeys(section.split(".")[0] for section in sections))
    pieces = [INTRODUCTION]
    for section in sorted(sections, key=lambda section: tops.index(section.split(".")[0])):     # otherwise as --describe has them
        title = "The machine of a plan (`--cluster FILE`)" if section == CLUSTER else section.replace(".[]", "[]")
        level = "###" if "." in section.removesuffix(".[]") else "##"
        read_on = f"Read on in {READ_ON[section]}.\n\n" if section in READ_ON else ""
        pieces.append(f"\n{level} {title}\n\n{read_on}{''.join(table_of(section, sections[section]))}")
    return "".join(pieces)


def main():
    parser = argparse.ArgumentParser(description="Makes docs/configuration.md of what ./pruntrain --describe prints.")
    parser.add_argument("--output", default=PAGE, help="- prints the page")
    parser.add_argument("--program", default=os.environ.get("PRUNTRAIN", ROOT / "pruntrain"))
    arguments = parser.parse_args()
    done = subprocess.run([arguments.program, "--describe"], stdout=subprocess.PIPE, text=True, check=True)
    made = page(done.stdout)
    if arguments.output == "-":
        sys.stdout.write(made)
    else:
        pathlib.Path(arguments.output).write_text(made)


if __name__ == "__main__":
    main()
