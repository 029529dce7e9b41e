"""Checks the structure of the C++ code: floors, owners of libraries, include cycles, and sizes of floors and classes.

The checks use regular expressions, so they rely on the format that clang-format produces. Used by scripts/lint.py.
"""

import re

# A file may include headers of lower floors only. Floors on the same line do not include each other.
FLOORS = [
    ["base"],
    ["config"],
    ["math", "comm"],
    ["io"],
    ["data"],
    ["model"],
    ["optim"],
    ["parallel"],
    ["run"],
    ["prune"],
    ["train"],
    ["plan"],
    ["app"],
]
HEIGHT = {name: height for height, names in enumerate(FLOORS) for name in names}

# The source files of one floor include each library; no header does.
OWNERS = {"mpi.h": "comm", "cblas.h": "math", "hwy/": "math", "yaml-cpp/": "config", "hdf5.h": "io", "zlib.h": "io", "lzf.h": "io",
          "CLI/": "app", "sys/socket.h": "run"}

LARGEST_SHARE = 0.15                # of the code lines, for each floor
LONGEST_FLOORS = {"train": 2500}    # lines
LONGEST_MAIN = 100
MOST_METHODS = 20                   # public ones, without constructors and destructor
MOST_MEMBERS = 15                   # non-static data members
LARGE = re.compile(r"^\s*///? Large because", re.MULTILINE)     # allows a large class, in the comment above it or in its first line

CLASS = re.compile(r"^( *)(class|struct) (?:\[\[\w+\]\] )?(\w+)(?: final)?(?: :[^;{]*)? \{$", re.MULTILINE)
NO_MEMBER = re.compile(r"(using|typedef|friend|enum|struct|class|static_assert)\b")


def floor_of(root, path):
    parts = path.relative_to(root).parts
    return parts[1 if parts[0] == "src" else 2]


def includes_of(text):
    return re.findall(r'^\s*#include\s+[<"]([^>"]+)[>"]', text, re.MULTILINE)


def check_includes(root, path, text):
    floor = floor_of(root, path)
    if floor not in HEIGHT:
        yield f"is in the unknown folder {floor}/"
        return
    for header in includes_of(text):
        if header.startswith("pruntrain/"):
            other = header.split("/")[1]
            if other != floor and HEIGHT.get(other, len(FLOORS)) >= HEIGHT[floor]:
                yield f"({floor}/) includes {header}, which is not on a lower floor"
        for library, owner in OWNERS.items():
            if header.startswith(library) and (floor != owner or path.relative_to(root).parts[0] == "include"):
                yield f"includes {header}; only source files of {owner}/ may do so"


def check_cycles(root, code):
    """Include cycles between headers, each reported once."""
    headers = {str(path.relative_to(root / "include")): text for path, text in code.items()
               if path.relative_to(root).parts[0] == "include"}
    done = set()

    def visit(header, chain):
        if header in chain:
            yield f"include cycle: {' -> '.join([*chain[chain.index(header):], header])}"
        elif header in headers and header not in done:
            for other in includes_of(headers[header]):
                yield from visit(other, [*chain, header])
            done.add(header)

    for header in headers:
        yield from visit(header, [])


def check_sizes(root, code):
    lines, code_lines = dict.fromkeys(HEIGHT, 0), dict.fromkeys(HEIGHT, 0)
    for path, text in code.items():
        floor = floor_of(root, path)
        lines[floor] = lines.get(floor, 0) + text.count("\n")
        code_lines[floor] = code_lines.get(floor, 0) + len(re.findall(r"^\s*(?!//)\S", text, re.MULTILINE))
    for floor, count in code_lines.items():
        if count > LARGEST_SHARE * sum(code_lines.values()):
            yield f"{floor}/ has {count / sum(code_lines.values()):.1%} of the code lines: more than {LARGEST_SHARE:.0%}"
    for floor, longest in LONGEST_FLOORS.items():
        if lines[floor] >= longest:
            yield f"{floor}/ has {lines[floor]} lines: {longest} or more"
    main = code.get(root / "src/app/main.cpp", "").count("\n")
    if main >= LONGEST_MAIN:
        yield f"src/app/main.cpp has {main} lines: {LONGEST_MAIN} or more"


def statements_of(body, access):
    """(access, declaration) of each member of a class; the contents of braces are dropped."""
    body = re.sub(r'//.*|^\s*#.*|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', "", body, flags=re.MULTILINE)
    depth, current = 0, ""
    for i, char in enumerate(body):
        if char == "}":
            depth -= 1
            if depth == 0:
                current += "}"
                if not re.match(r"\s*[;,{)]", body[i + 1:i + 80]):     # the end of a function, not of an initializer
                    yield access, current.strip()
                    current = ""
            continue
        if char == "{":
            depth += 1
            current += "{" if depth == 1 else ""
        elif depth == 0 and char == ";":
            yield access, current.strip()
            current = ""
        elif depth == 0 and char == ":" and current.strip() in ("public", "protected", "private"):
            access, current = current.strip(), ""
        elif depth == 0:
            current += char


def count_members(name, kind, body):
    """(public methods, data members)"""
    methods = data = 0
    for access, statement in statements_of(body, "public" if kind == "struct" else "private"):
        plain, count = statement, 1
        while count:
            plain, count = re.subn(r"<[^<>]*>", "", plain)
        plain = re.sub(r"^(?:template|\[\[\w+\]\])\s*", "", plain).strip()
        if not plain or NO_MEMBER.match(plain):
            continue
        declared = plain if "operator" in plain else plain.split("=")[0]
        if "(" in declared:
            is_special = re.search(rf"~|(?:^|\W){name}\s*\(", declared.split("(")[0] + "(") or re.search(r"= (?:delete|default)$", plain)
            methods += access == "public" and not is_special
        elif not re.match(r"(inline )?static\b", plain):
            data += 1 + declared.count(",")
    return methods, data


def check_classes(text):
    for found in CLASS.finditer(text):
        indent, kind, name = found.groups()
        end = text.find(f"\n{indent}}};", found.end())
        body = text[found.end():end]
        comment = re.search(r"(?:^[ \t]*//.*\n)*\Z", text[:found.start()], re.MULTILINE).group()
        if LARGE.search(comment) or LARGE.match(body.lstrip("\n")):
            continue
        methods, data = count_members(name, kind, body)
        if methods > MOST_METHODS:
            yield f"{kind} {name} has {methods} public methods: more than {MOST_METHODS}; split it, or add '// Large because ...'"
        if data > MOST_MEMBERS:
            yield f"{kind} {name} has {data} data members: more than {MOST_MEMBERS}; split it, or add '// Large because ...'"


def check(root, code):
    """code: {path: text} of include/ and src/."""
    for path, text in code.items():
        for finding in (*check_includes(root, path, text), *check_classes(text)):
            yield f"{path.relative_to(root)} {finding}"
    yield from check_cycles(root, code)
    yield from check_sizes(root, code)
