"""Configurations in YAML, read as the program reads them: the name of a layer is a word, also if it is 0, 010, on or null."""
import re

import yaml

WORDS = ("name", "layer")   # keys whose values are text in every configuration
TEXT, FLOAT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:float"
EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")    # 1e-05 is a number of YAML 1.2; PyYAML reads YAML 1.1


def _values(node):
    """All nodes below a node, each once: an alias may refer to a node that contains it."""
    seen, waiting = set(), [node]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            waiting += [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def load(text):
    """The configuration as Python values. Raises ValueError if the text is no YAML."""
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        for node in _values(root):
            if isinstance(node, yaml.ScalarNode) and node.style is None and EXPONENT.fullmatch(node.value):
                node.tag = FLOAT
        for node in _values(root):
            for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
                if key.value in WORDS and isinstance(value, yaml.ScalarNode):
                    value.tag = TEXT
        return None if root is None else loader.construct_document(root)
    except (yaml.YAMLError, RecursionError, ValueError) as error:    # ValueError: a date that is none
        raise ValueError(f"no YAML: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()


def load_words(text):
    """All scalars as text. Raises ValueError if the text is no YAML."""
    try:
        return yaml.load(text, yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"no YAML: {error}") from error
