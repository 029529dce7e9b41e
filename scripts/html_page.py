"""Elements of an HTML page. All text is escaped on entry, so that none of it can become markup."""

import html
import re

NUMBER = re.compile(r"–|-?[\d,]+(\.\d+)?")


class Markup(str):
    """Text that is HTML already: made by the functions here and by figures, never from the content of a file."""


def escaped(piece):
    return piece if isinstance(piece, Markup) else Markup(html.escape(str(piece)))


def tag(name, *pieces, **attributes):
    """tag("a", "text", href="..."); a Python keyword gets an underscore: class_."""
    words = "".join(f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"' for key, value in attributes.items())
    return Markup(f"<{name}{words}>{''.join(map(escaped, pieces))}</{name}>")


def table(caption, heading, rows):
    """The first cell of a row is its header. Numeric columns are right-aligned."""
    looks = [{"class_": "number"} if all(NUMBER.fullmatch(str(row[column])) for row in rows) else {}
             for column in range(len(heading))]
    head = tag("tr", *(tag("th", word, scope="col", **look) for word, look in zip(heading, looks)))
    body = [tag("tr", tag("th", first, scope="row"), *(tag("td", piece, **look) for piece, look in zip(others, looks[1:])))
            for first, *others in rows]
    return tag("div", tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body)), class_="wide")


STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #5a6470; --line: #d5dae0; --card: #f5f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --paper: #14171b; --soft: #a3adb8; --line: #363d46; --card: #1d2127; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
       font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
.soft, figcaption, caption { color: var(--soft); }
dl.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .6rem; margin: 1rem 0; }
dl.figures div { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .8rem; }
dl.figures dt { color: var(--soft); font-size: .85rem; }
dl.figures dd { margin: 0; font-size: 1.2rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
dl.figures dd small { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); }
figure { margin: .8rem 0; break-inside: avoid; }
svg { display: block; max-width: 100%; height: auto; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg image { image-rendering: pixelated; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-end; }
.pictures figure { max-width: 31rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; white-space: nowrap; padding-bottom: .3rem; }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 1px solid var(--line); font-weight: 600; }
tbody th { font-weight: 400; overflow-wrap: anywhere; }
.number { text-align: right; }
pre { background: var(--card); border: 1px solid var(--line); padding: .8rem; overflow-x: auto; }
summary { cursor: pointer; font-weight: 600; }
details.run { border: 1px solid var(--line); border-radius: .4rem; padding: .6rem 1rem; margin: .8rem 0; }
@media print {
  :root { color-scheme: light; --ink: #000000; --paper: #ffffff; --soft: #444444; --line: #bbbbbb; --card: #ffffff; }
  body { max-width: none; padding: 0; font-size: 11px; }
  details::details-content { content-visibility: visible; }
  pre { white-space: pre-wrap; }
}
"""


def page(title, *pieces):
    """The whole document. Its content security policy forbids scripts and external resources."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = f"""<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
{tag("title", title)}
<style>{STYLE}</style>"""
    return f"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n{head}\n</head>\n<body>\n{tag('main', *pieces)}\n</body>\n</html>\n"
