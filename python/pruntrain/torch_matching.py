"""Which module of a state_dict is which layer of a model: by name, else by shape and order where that leaves one way."""
import math
import re

TENSORS = ("weight", "bias", "running_mean", "running_var")     # of layers, with the names of PyTorch
MOST_STEPS = 20_000     # of the search; more ways than it can visit are not one way


def dimensions(shape):
    return "x".join("?" if size is None else str(size) for size in shape) or "a scalar"


def fitted_shape(given, expected):
    """The shape of a tensor, or of a sparse matrix that holds the kernels of a convolution; None: it does not fit."""
    shape = given.shape
    if given.is_matrix_of_convolution and len(expected) == 4:
        shape = _kernel_shape(shape, expected)
    if len(shape) != len(expected) or any(size not in (None, own) for size, own in zip(expected, shape)):
        return None
    return shape


def _kernel_shape(shape, expected):
    outputs, columns = shape
    channels, kernel = expected[1], expected[2]
    if kernel is None and channels:
        kernel = math.isqrt(columns // channels)
    elif channels is None and kernel:
        channels = columns // kernel ** 2
    if not channels or not kernel or channels * kernel ** 2 != columns:
        return ()
    return (outputs, channels, kernel, kernel)


def fits(tensors, expected):
    """Whether the tensors of a module are those of a layer. Other tensors than a layer can have do not matter here."""
    return all(name in expected for name in tensors if name in TENSORS) and \
        all(fitted_shape(tensors[name], wanted.shape) is not None if name in tensors else wanted.optional
            for name, wanted in expected.items())


def _named(modules, layers):
    """{module: layer} of equal names. A layer has no dot in its name: `features.0` may be `0` or `features_0`. Its name may also end
    the module's path, after what DataParallel, Lightning and others put before it, if only one path ends so."""
    found = {}
    for layer in layers:
        exact = [module for module in modules if layer in (module, module.replace(".", "_"))]
        ends = [module for module in modules if f".{module}".endswith(f".{layer}")
                or any(part.replace(".", "_") == layer for part in _ends(module))]
        same = exact or ends
        if len(same) > 1:
            raise ValueError(f"the layer {layer} may be any of {', '.join(same)} of the state: leave out the others by --ignore, or "
                             f"choose by --map {same[0]}={layer}")
        if same and same[0] not in found:
            found[same[0]] = layer
    return found


def _ends(module):
    parts = module.split(".")
    return (".".join(parts[first:]) for first in range(len(parts)))


def _number(part):
    stem, digits = re.fullmatch(r"(.*?)(\d*)", part).groups()
    return stem, int(digits) if digits else None


def _order(first, second):
    """(stem, is before) of two paths that differ first in a number, as fc1 and fc2 do; None: nothing is known."""
    for own, other in zip(first.split("."), second.split(".")):
        if own != other:
            (stem, number), (stem_of_other, number_of_other) = _number(own), _number(other)
            if stem == stem_of_other and None not in (number, number_of_other) and number != number_of_other:
                return stem, number < number_of_other
            return None
    return None


def _rules(modules):
    """(pairs of modules of which the first is before the second by the index in a Sequential; likewise by the numbers in names).
    The latter are known only if the order of the state agrees with all of them: a sorted state has fc10 before fc2."""
    by_index, by_name, agreed = set(), set(), True
    for position, first in enumerate(modules):
        for second in modules[position + 1:]:
            known = _order(first, second)
            if known is not None:
                stem, is_before = known
                (by_name if stem else by_index).add((first, second) if is_before else (second, first))
                agreed = agreed and (not stem or is_before)
    return by_index, by_name if agreed else set()


def _ways(modules, layers, given, known, rules):
    """The first two ways to give each layer one of the modules so that shapes fit and the rules hold. known: {module: layer}"""
    before = {module: set() for module in (*modules, *known)}
    for first, second in rules:
        before[second].add(first)
    layer_of = {layer: module for module, layer in known.items()}
    candidates = {layer: [module for module in modules if fits(given[module], expected)]
                  for layer, expected in layers if layer not in layer_of}
    names = [name for name, _ in layers]
    ways, steps = [], 0

    def place(position, placed):
        nonlocal steps
        steps += 1
        if len(ways) > 1 or steps > MOST_STEPS:
            return
        if position == len(names):
            ways.append({module: names[at] for module, at in placed.items()})
            return
        layer = names[position]
        for module in candidates.get(layer, [layer_of.get(layer)]):
            fixed = layer in layer_of
            # Two modules that were both found by name need no rule.
            if module not in placed and all(first in placed or (fixed and first in known) for first in before[module]):
                place(position + 1, {**placed, module: position})
    place(0, {})
    return ways * 2 if steps > MOST_STEPS and len(ways) == 1 else ways


def _both_sides(modules, layers):
    return f"modules {', '.join(modules)}; layers {', '.join(layers)}"


def match(given, layers, mapping):
    """{module: layer}. given: {module: {tensor: Given}}; layers: (name, {tensor: Expected}) in model order; mapping: {module: layer}
    as the user states. Raises ValueError with both sides if it is not certain which is which."""
    all_layers = [name for name, _ in layers]
    for module, layer in mapping.items():
        if module not in given:
            raise ValueError(f"--map {module}={layer}: the state has no module {module}; it has {', '.join(given)}")
        if layer not in all_layers:
            raise ValueError(f"--map {module}={layer}: the model has no layer {layer} with weights; it has {', '.join(all_layers)}")
    if len(set(mapping.values())) < len(mapping):
        raise ValueError(f"--map gives a layer two modules: {', '.join(f'{module}={layer}' for module, layer in mapping.items())}")
    known = {**_named([module for module in given if module not in mapping],
                      [layer for layer in all_layers if layer not in mapping.values()]), **mapping}
    modules = [module for module, tensors in given.items() if "weight" in tensors and module not in known]
    rest = [layer for layer in all_layers if layer not in known.values()]
    if not modules or not rest:     # what is missing or too much is named by its tensors
        return known
    with_weights = [module for module in given if module in known or module in modules]
    if len(modules) != len(rest):
        raise ValueError(f"the state has {len(with_weights)} modules with weights, the model {len(all_layers)} layers: they cannot "
                         f"be matched in order. Not found by name are {_both_sides(modules, rest)}. State pairs by --map "
                         "MODULE=LAYER, or leave out others by --ignore")
    by_index, by_name = _rules(with_weights)
    ways = _ways(modules, layers, given, known, by_index)
    if len(ways) > 1 and by_name:
        ways = _ways(modules, layers, given, known, by_index | by_name)
    if len(ways) == 1:
        return ways[0]
    pairs, expected = dict(zip(modules, rest)), dict(layers)
    if ways or _ways(modules, layers, given, known, set()) or all(fits(given[own], expected[layer]) for own, layer in pairs.items()):
        example = " ".join(f"--map {module}={layer}" for module, layer in pairs.items())
        reason = "leave more than one way to match" if ways else "contradict the order of the indices, so it is not certain how to match"
        raise ValueError(f"names and shapes {reason} the state with the model; not found by name are {_both_sides(modules, rest)}. "
                         f"State which is which, for instance: {example}")
    return {**known, **pairs}   # whose shapes do not fit, which is named next
