"""Checks the language of the documentation: terms of the field, and sentences that are short enough to read.

Used by scripts/lint.py. Prose is checked: code, output of the program and tables of values are not.
"""

import re

LONGEST_SENTENCE = 30   # words
CONTEXT = 25            # characters around a word that is reported

# What not to write, and what to write instead.
WORDS = [
    (r"of before", "older, earlier"),
    (r"(go|goes|gone|going|went) on", "continue, resume, proceed"),
    (r"(stand|stands|stood) (in|at|on|to|for|there|twice|beside|behind)", "is in, is stored in"),
    (r"(is|are|was|were|be|been) told|tells?", "is reported, reports, shows"),
    (r"beside", "next to, concurrently, in addition to"),
    (r"behind", "after"),
    (r"(?<!random )(?<!floating-point )(?<!whole )numbers", "elements, values, indices, samples"),
    (r"(live|lives) (and|or) (die|dies)", "are pruned together"),
    (r"cut off", "interrupted, truncated"),
    (r"an? (half|third|quarter|fifth|sixth|eighth|tenth|twentieth) of the (time|bytes|training|memory)", "2x, 20x faster or smaller"),
    (r"slots?", "optimizer state"),
    (r"(share|shares|shared|sharing) out", "partition, distribute"),
    (r"kept weights?", "remaining weights, non-zeros"),
    (r"hidden weights?", "soft-pruned weights"),
    (r"exact masks?", "mask"),
    (r"(leave|leaves) the network", "physical compaction: are removed from the network"),
    (r"(stand|stands|stood) still", "is hung, makes no progress"),
    (r"bit for bit|(the )?same bits", "bit-identical"),
    (r"learnt", "learned, trained"),
    (r"anew", "again, new"),
    (r"as ever", "as usual, or nothing"),
    (r"gather(s|ed)? to all", "all-gather"),
    (r"grouping", "granularity"),
    (r"(?<!standard )deviations?", "std, standard deviation"),
    (r"house rules", "conventions"),
]
FORBIDDEN = [(re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), advice) for pattern, advice in WORDS]


def wrong_words(text):
    """(words with their context, what to write instead) of each finding."""
    flat = " ".join(text.split())
    for pattern, advice in FORBIDDEN:
        for found in pattern.finditer(flat):
            yield f"'{found.group()}' in '..{flat[max(0, found.start() - CONTEXT):found.end() + CONTEXT]}..'", advice


def without_code(markdown):
    """Markdown without fenced and indented code, comments and code spans; lines stay where they are."""
    text = re.sub(r"^```.*?^```$", lambda block: "\n" * block.group().count("\n"), markdown, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"(?:^|(?<=\n\n))(?: {4,}.*\n(?:\n(?= {4}))?)+", lambda block: "\n" * block.group().count("\n"), text)
    text = re.sub(r"!?\[(?:`[^`]*`|[^\s\]]*)\]\([^)]*\)|`[^`]*`", "`code`", text)
    return re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)


def sentences(markdown):
    """The sentences of the prose, without tables and headings. A list of names or a citation counts as one word."""
    paragraphs, current = [], []
    for line in [*without_code(markdown).split("\n"), ""]:
        starts_item = re.match(r"\s*([-*]|\d+\.) ", line)
        if not line.strip() or line.startswith(("|", "#")) or starts_item:
            paragraphs.append(" ".join(current))
            current = []
        if line.strip() and not line.startswith(("|", "#")):
            current.append(re.sub(r"^\s*([-*]|\d+\.) ", "", line).strip())
    for paragraph in paragraphs:
        paragraph = re.sub(r"\([^()]*\b(?:19|20)\d\d\b[^()]*\)", "", paragraph)
        paragraph = re.sub(r"`code`(?:(?:,| and| or|, and|, or) `code`)+", "`code`", paragraph)
        yield from (sentence for sentence in re.split(r"(?<=[.?!:])[)*_\"]*\s+(?=[(*_\"`]*[A-Z`])", paragraph) if sentence.strip())


def long_sentences(markdown, limit=LONGEST_SENTENCE):
    for sentence in sentences(markdown):
        words = [word for word in sentence.split() if re.search(r"\w", word)]
        if len(words) > limit:
            yield len(words), sentence


def check_markdown(text):
    for words, advice in wrong_words(without_code(text)):
        yield f"says {words}: write {advice}"
    for length, sentence in long_sentences(text):
        yield f"has a sentence of {length} words: '{sentence[:60]}...'"


def check_comments(text):
    """Comments of YAML."""
    for words, advice in wrong_words(" ".join(re.findall(r"#(.*)", text))):
        yield f"says {words}: write {advice}"


def check_description(text):
    """What ./pruntrain --describe prints; its names of types are no prose."""
    meanings = re.sub(r"list of numbers", "", text)
    for words, advice in wrong_words(meanings):
        yield f"--describe says {words}: write {advice}"
