#!/usr/bin/python3
"""Which module of a PyTorch file becomes which layer: by name, by shape and order, or as the user states.

Environment: PRUNTRAIN the program, MPIRUN the launcher with its flags.
"""
import collections
import json
import unittest

import numpy
import torch
from torch import nn
from torch_files import Files, prefixed, pruntrain

DEEP = ", {layer: relu}, ".join(["{layer: dense, units: 4}"] * 6)


class Matching(Files):
    def setUp(self):
        super().setUp()
        self.deep = self.configuration(DEEP, "deep.yaml")
        self.layers = [f"dense{number}" for number in range(1, 7)]
        network = nn.Sequential(*[layer for _ in range(6) for layer in (nn.Linear(4, 4), nn.ReLU())][:-1])
        self.indices = [str(2 * number) for number in range(6)]
        self.deep_state = network.state_dict()

    def renamed(self, names, state=None):
        return {f"{dict(zip(self.indices, names))[name.partition('.')[0]]}.{name.partition('.')[2]}": value
                for name, value in (state or self.deep_state).items()}

    def shuffled(self, state, names):
        return {f"{name}.{tensor}": state[f"{name}.{tensor}"] for name in names for tensor in ("weight", "bias")}

    def assert_deep(self, state, *options, config=None, layers=None):
        self.assert_is(self.convert(state, *options, config=config or self.deep), self.deep_state, layers or self.layers, self.indices)

    def test_sorted_keys_give_the_same_network(self):
        in_order = {name: self.deep_state[name] for name in sorted(self.deep_state)}
        self.assertLess(list(in_order).index("10.weight"), list(in_order).index("2.weight"))
        self.assert_deep(self.deep_state)
        self.assert_deep(in_order)
        self.assert_deep(prefixed(in_order, "model.net."))
        with open(self.folder / "sorted.safetensors", "wb") as file:
            pruntrain.write_safetensors({name: value.numpy() for name, value in in_order.items()}, file)
        self.assert_deep(self.folder / "sorted.safetensors")

    def test_names_come_first(self):
        reversed_ = dict(reversed(self.renamed(self.layers).items()))
        for prefix in ("", "module.", "model.module."):
            self.assert_deep(prefixed(reversed_, prefix))
        # As torchvision names them: a path is the name of a layer, with _ in place of the dots.
        own = self.configuration("".join(f"{{layer: dense, units: 4, name: layer{n}_0_fc}}, " for n in range(6)).rstrip(", "),
                                 "own.yaml")
        paths = self.renamed([f"layer{n}.0.fc" for n in range(6)])
        self.assert_deep(dict(reversed(paths.items())), config=own, layers=[f"layer{n}_0_fc" for n in range(6)])

    def test_shapes_decide_where_they_leave_one_way(self):
        named = {"fc2.weight": self.state["2.weight"], "fc2.bias": self.state["2.bias"],
                 "fc1.weight": self.state["0.weight"], "fc1.bias": self.state["0.bias"]}
        self.assert_is(self.convert(named))
        self.assert_is(self.convert({"dense1.weight": self.state["0.weight"], "dense1.bias": self.state["0.bias"],
                                     "head.weight": self.state["2.weight"], "head.bias": self.state["2.bias"]}))
        # Sorted names of an image network: convolutions and batch-norm differ in their tensors.
        image = nn.Sequential(collections.OrderedDict(conv=nn.Conv2d(2, 3, 3), bn=nn.BatchNorm2d(3), act=nn.ReLU(), flat=nn.Flatten(),
                                                      a_head=nn.Linear(48, 3)))
        numpy.save(self.folder / "x.npy", numpy.random.default_rng(2).normal(0, 1, (30, 2, 6, 6)).astype(numpy.float32))
        self.x = numpy.load(self.folder / "x.npy")
        image(torch.from_numpy(self.x))
        image.eval()
        config = self.configuration("{layer: conv2d, channels: 3}, {layer: batch_norm}, {layer: relu}, {layer: flatten}, "
                                    "{layer: dense, units: 3}", "image.yaml")
        self.convert({name: image.state_dict()[name] for name in sorted(image.state_dict())}, config=config)
        self.assert_computes(image)

    def test_what_is_not_certain_is_refused_with_both_sides(self):
        numbered = self.renamed([f"fc{n}" for n in range(5, 11)])
        self.assert_deep(numbered)      # the file's order and the names agree
        words = self.renamed(["stem", "a", "c", "b", "d", "head"])
        for state, config, *said in (
                (self.shuffled(numbered, sorted(f"fc{n}" for n in range(5, 11))), None, "modules fc10, fc5", "--map fc10=dense1"),
                (words, None, "modules stem, a, c, b, d, head; layers dense1, dense2", "--map stem=dense1"),
                ({**self.shuffled(self.deep_state, ("0", "2", "4")), **prefixed(self.shuffled(self.deep_state, ("0", "2", "4")), "x.")},
                 None, "more than one way"),
                (self.deep_state, self.configuration(", ".join(f"{{layer: dense, units: 4, name: {n}}}" for n in range(6)), "n.yaml"),
                 "contradict the order of the indices"),
                ({**prefixed(self.renamed(self.layers), "student."), **prefixed(self.renamed(self.layers), "teacher.")}, None,
                 "dense1 may be any of student.dense1, teacher.dense1"),
                (self.shuffled(self.deep_state, ("0", "2")), None, "2 modules", "6 layers", "modules 0, 2; layers dense1")):
            with self.subTest(said[0]):
                self.refuse(state, *said, config=config or self.deep)
        self.assert_deep({**prefixed(self.renamed(self.layers), "student."), **prefixed(self.renamed(self.layers), "teacher.")},
                         "--ignore", "teacher.*")

    def test_a_mapping_states_the_rest(self):
        names = ["stem", "a", "c", "b", "d", "head"]
        words = dict(reversed(self.renamed(names).items()))
        pairs = dict(zip(names, self.layers))
        self.assert_deep(words, *[word for name, layer in pairs.items() for word in ("--map", f"{name}={layer}")])
        (self.folder / "map.json").write_text(json.dumps(pairs))
        self.assert_deep(prefixed(words, "_orig_mod."), "--map", self.folder / "map.json")
        (self.folder / "map.yaml").write_text("".join(f"{index}: {layer}\n" for index, layer in zip(self.indices, self.layers)))
        self.assert_deep({name: self.deep_state[name] for name in sorted(self.deep_state)}, "--map", self.folder / "map.yaml")
        flat = {f"{name.replace('.', '_')}": value for name, value in self.state.items()}
        self.refuse(flat, "0_weight", "TENSOR=LAYER.weight")
        tensors = [word for index, layer in (("0", "dense1"), ("2", "dense2")) for tensor in ("weight", "bias")
                   for word in ("--map", f"{index}_{tensor}={layer}.{tensor}")]
        self.assert_is(self.convert(flat, *tensors))
        (self.folder / "list.yaml").write_text("[a, b]")
        for word, *said in (("0=dense9", "no layer dense9", "dense1, dense2"), ("9=dense1", "no module 9", "0, 2"),
                            ("nothing.yaml", "nothing.yaml: No such file"), (self.folder / "list.yaml", "list.yaml", "NAME=LAYER"),
                            ("9.weight=dense1.weight", "no tensor 9.weight"), ("=dense1", "NAME=LAYER")):
            self.refuse(self.state, *said, options=["--map", word])
        self.refuse(self.state, "two modules", options=["--map", "0=dense1", "--map", "2=dense1"])
        self.refuse(self.state, "0 two layers", options=["--map", "0=dense1", "--map", "0=dense2"])


if __name__ == "__main__":
    unittest.main()
