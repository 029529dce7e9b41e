#!/usr/bin/python3
"""Files of PyTorch as people have them, read by from-torch: whole checkpoints, masks, parametrizations, safetensors.

Environment: PRUNTRAIN the program, MPIRUN the launcher with its flags.
"""
import argparse
import json
import os
import pathlib
import struct
import unittest

import numpy
import scipy.sparse
import torch
from torch import nn
from torch.nn.utils import prune
from torch_files import MLP, Files, prefixed, pruntrain

from pruntrain import placeholder, torch_archive  # torch_files has made it importable


class Bomb:
    """Leaves a file if its pickle is executed."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def write_safetensors(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


class FromFiles(Files):
    def test_files_that_hold_the_same_network(self):
        state = self.state
        averaged = torch.optim.swa_utils.AveragedModel(self.network).state_dict()
        self.assertIn("n_averaged", averaged)
        optimizer = torch.optim.Adam(self.network.parameters())
        self.network(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        self.network.load_state_dict(averaged and {name.removeprefix("module."): value for name, value in averaged.items()
                                                   if name != "n_averaged"})
        state = {name: value.clone() for name, value in self.network.state_dict().items()}
        settings = {"lr": 0.1, "args": argparse.Namespace(seed=1), "path": pathlib.Path("x"), "best": numpy.float64(2), "set": {1}}
        cases = {
            "plain": state, "ddp": prefixed(state, "module."), "compiled": prefixed(state, "_orig_mod."),
            "ddp of compiled": prefixed(state, "module._orig_mod."), "compiled part": prefixed(state, "backbone._orig_mod."),
            "trainer": {"epoch": 3, "state_dict": state, "optimizer": optimizer.state_dict()},
            "tutorial": {"model_state_dict": state, "loss": 0.5, **settings},
            "torchvision": {"model": prefixed(state, "module."), "optimizer": optimizer.state_dict(), **settings},
            "net": {"net": state, "acc": 91.5},
            "lightning.ckpt": {"state_dict": prefixed(state, "model."), "hyper_parameters": settings, "callbacks": {"best": None},
                               "pytorch-lightning_version": "1.8"},
            "averaged": averaged,
            "parameters": {name: nn.Parameter(value) for name, value in state.items()},
            "coo": {name: value.to_sparse() if value.dim() == 2 else value for name, value in state.items()},
            "csr": {name: value.to_sparse_csr() if value.dim() == 2 else value for name, value in state.items()},
            "double": {name: value.double() for name, value in state.items()},
        }
        for name, content in cases.items():
            with self.subTest(name):
                self.assert_is(self.convert(content, name=name if "." in name else "state.pt"), state)
        for content in (state, cases["tutorial"], cases["torchvision"]):
            torch.save(content, self.folder / "legacy.pt", _use_new_zipfile_serialization=False)
            self.assert_is(self.convert(self.folder / "legacy.pt"), state)
        self.assert_computes(self.network)
        for kind in (torch.float16, torch.bfloat16):
            short = {name: value.to(kind) for name, value in state.items()}
            for content in (short, {"model": short, **settings}):
                self.assert_is(self.convert(content), {name: value.float() for name, value in short.items()})
        chosen = {"ema": prefixed(state, "module."), "model": {name: value + 1 for name, value in state.items()}}
        self.assert_is(self.convert(chosen, "--entry", "ema"), state)
        self.assert_is(self.convert({**prefixed(state, "net."), "net.loss.pos_weight": torch.ones(3), "net.mean": torch.ones(1)},
                                    "--ignore", "net.loss.*", "--ignore", "net.mean"), state)

    def test_a_file_is_never_executed(self):
        trace = self.folder / "executed"
        for content in ({"state_dict": self.state, "x": Bomb(trace)}, {**self.state, "x": Bomb(trace)}, Bomb(trace)):
            for new in (True, False):
                torch.save(content, self.folder / "bomb.pt", _use_new_zipfile_serialization=new)
                self.pruntrain_io("from-torch", self.folder / "bomb.pt", self.mlp, self.out)
                self.assertFalse(trace.exists())
        self.assert_is(self.convert({"state_dict": self.state, "x": Bomb(trace)}))
        self.assertFalse(trace.exists())

    def test_the_careful_reader_builds_the_same_tensors(self):
        strided = torch.arange(24.0).reshape(4, 6)
        content = {"t": strided.T, "part": strided[1:3, ::2], "empty": torch.zeros(0, 3), "scalar": torch.tensor(2.0),
                   "bool": torch.tensor([True, False]), "long": torch.arange(3), "nested": [strided[0], {"x": strided[:, 1]}]}
        for reader in (torch_archive.read_archive, torch_archive.read_old_file):
            torch.save({**content, "x": argparse.Namespace()}, self.folder / "state.pt",
                       _use_new_zipfile_serialization=reader is torch_archive.read_archive)
            read = reader(self.folder / "state.pt")
            for name, value in content.items():
                if name != "nested":
                    self.assertTrue(torch.equal(read[name], value), name)
                    self.assertEqual(read[name].dtype, value.dtype)
            self.assertTrue(torch.equal(read["nested"][1]["x"], strided[:, 1]))
            self.assertIsInstance(read["x"], placeholder.Placeholder)

    def test_what_is_no_state_dict_is_named(self):
        def file(name, content):
            (self.folder / name).write_bytes(content)
            return self.folder / name
        torch.save(self.state, self.folder / "whole.pt")
        whole = (self.folder / "whole.pt").read_bytes()
        torch.save({"state_dict": self.state, "loss": 0.5}, self.folder / "old.pt", _use_new_zipfile_serialization=False)
        changed = whole.replace(self.state["0.weight"].numpy().tobytes(), bytes(128))
        old = (self.folder / "old.pt").read_bytes()
        numpy.save(self.folder / "array.npy", self.x)
        numpy.savez(self.folder / "arrays.npz", x=self.x)
        torch.jit.save(torch.jit.script(self.network), str(self.folder / "script.pt"))
        quantized = torch.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), {nn.Linear},
                                                        torch.qint8)
        optimizer = torch.optim.SGD(self.network.parameters(), 0.1).state_dict()
        cases = ((self.network, "whole module (torch.nn.modules.container.Sequential)", ".state_dict(), 'state.pt')"),
                 ({"model": self.network, "epoch": 1}, "torch.nn.modules.container.Sequential", "['model'].state_dict()"),
                 (self.folder / "script.pt", "TorchScript", "torch.jit.load("),
                 ({}, "empty dictionary"), (list(self.state.values()), "but list"), (self.state["0.bias"], "but Tensor"),
                 (optimizer, "the state of an optimizer, no weights"), ({"epoch": 1, "optimizer": optimizer}, "epoch, optimizer"),
                 ({"model": {}}, "no tensors in its entry 'model'"),
                 ({"generator": self.state, "critic": self.state}, "--entry NAME", "generator, critic"),
                 ({"model": self.state, "net": self.state}, "--entry NAME", "model, net"),
                 (quantized.state_dict(), "0._packed_params", "quantized"),
                 (file("array.pt", (self.folder / "array.npy").read_bytes()), "a NumPy array"),
                 (file("arrays.pt", (self.folder / "arrays.npz").read_bytes()), "zip archive of another program"),
                 (file("cut.pt", whole[:len(whole) // 2]), "damaged or truncated"), (file("cut_old.pt", old[:300]), "damaged"),
                 (file("cut_data.pt", old[:-5]), "damaged: the storage "),
                 (file("changed.pt", changed), "whole/data/", "does not fit its checksum"),
                 (file("nothing.pt", b""), "empty"), (file("words.pt", b"no weights here"), "unknown format"),
                 (file("lfs.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), "Git LFS"),
                 (self.folder / "absent.pt", "absent.pt: No such file"), (self.folder, "Is a directory"))
        for given, *words in cases:
            with self.subTest(words[0]):
                self.refuse(given, *words)
        self.refuse({"model": self.state}, "no entry 'ema'", options=["--entry", "ema"])

    def test_values_that_are_no_weights_are_named(self):
        nan = {**self.state, "0.weight": self.state["0.weight"].clone()}
        nan["0.weight"][1, 2] = float("nan")
        infinite = {**self.state, "2.bias": torch.tensor([0, -float("inf"), float("inf")])}
        large = {name: value.double() for name, value in self.state.items()}
        large["2.weight"][0, 7] = 1e300
        for given, *words in (
                (nan, "0.weight[1, 2] is nan: "), (infinite, "2.bias[1] is -inf (and 1 more of its values)"),
                (large, "2.weight[0, 7] is 1e+300, too large for float32"),
                ({**self.state, "0.weight": torch.ones(8, 4, dtype=torch.int8)}, "0.weight is of type torch.int8"),
                ({**self.state, "0.weight": torch.ones(8, 4, dtype=torch.complex64)}, "0.weight is of type torch.complex64"),
                ({**self.state, "mean": torch.zeros(4), "std": torch.ones(4)}, "mean, std, which the model does not have", "--ignore"),
                ({**self.state, "note": "text"}, "note is no tensor but str"),
                ({**self.state, 7: torch.ones(1)}, "has the key 7"),
                ({**self.state, "_orig_mod.0.bias": self.state["0.bias"]}, "which are the same tensor")):
            with self.subTest(words[0]):
                self.refuse(given, *words)
        self.refuse(self.state, "--ignore 'men'", "0.weight, 0.bias", options=["--ignore", "men"])

    def test_a_network_without_weights_is_legal(self):
        zero = {**self.state, "0.weight": torch.zeros(8, 4)}
        self.network.load_state_dict(zero)
        for options in ((), ("--sparse",)):
            self.assert_is(self.convert(zero, *options), zero)
            self.assert_computes(self.network)
        self.assertEqual(pruntrain.load(self.out)["dense1.weight"].nnz, 0)


class Masks(Files):
    def pruned(self):
        """A network with masks, where one remaining weight is 0."""
        for module in (self.network[0], self.network[2]):
            prune.l1_unstructured(module, "weight", 0.5)
        row, column = (self.network[0].weight_mask != 0).nonzero()[0]
        with torch.no_grad():
            self.network[0].weight_orig[row, column] = 0
        self.network.eval()(torch.ones(1, 4))   # computes weight
        return self.network.state_dict(), (int(row), int(column))

    def test_the_pattern_is_that_of_the_mask(self):
        state, place = self.pruned()
        for given in (state, prefixed(state, "module."), {"model_state_dict": state, "loss": 0.25}):
            self.convert(given)
            first = pruntrain.load(self.out)["dense1.weight"]
            self.assertEqual(first.nnz, 16)
            numpy.testing.assert_array_equal(scipy.sparse.csr_matrix((numpy.ones(16), first.indices, first.indptr), (8, 4)).toarray(),
                                             state["0.weight_mask"].numpy())
            self.assertEqual(first[place], 0)
            self.assertEqual(pruntrain.state(self.out)["sparsity"], 0.5)
        self.assert_computes(self.network)
        started = self.train(self.mlp, "started", f"run.start_from={self.out}", "train.epochs=0")
        self.assertEqual([layer["kept"] for layer in started.summary["layers"] if layer["name"].endswith("weight")], [16, 12])
        self.convert(state, "--sparse")
        self.assertEqual(pruntrain.load(self.out)["dense1.weight"].nnz, 15)

    def test_absent_weights_may_be_anything(self):
        state, _ = self.pruned()
        state = {name: value.clone() for name, value in state.items()}
        absent = state["0.weight_mask"] == 0
        state["0.weight_orig"][absent] = float("nan")
        self.convert(state)
        self.assert_computes(self.network)

    def test_masks_that_cannot_be_kept_are_refused(self):
        state, _ = self.pruned()
        prune.l1_unstructured(self.network[2], "bias", 1)
        fixed = self.configuration(MLP.replace("units: 8", "units: 8, prunable: false"), "fixed.yaml")
        for given, config, *words in (
                (self.network.state_dict(), None, "2.bias has a mask", "prune.remove"), (state, fixed, "0.weight has a mask"),
                ({**state, "0.weight_mask": state["0.weight_mask"] / 2}, None, "0.weight_mask has other values than 0 and 1"),
                ({**state, "0.weight_mask": torch.ones(8)}, None, "0.weight_mask is (8,)"),
                ({**state, "0.weight": torch.ones(8, 4)}, None, "0.weight and also 0.weight_orig, 0.weight_mask"),
                ({name: value for name, value in state.items() if name != "0.weight_mask"}, None, "0.weight_orig has no 0.weight_mask")):
            with self.subTest(words[0]):
                self.refuse(given, *words, config=config)

    def test_sparse_tensors_keep_their_pattern(self):
        weight = torch.zeros(8, 4)
        weight[0, 1], weight[5, 3] = 2, -1
        rows, columns = torch.tensor([0, 5, 5, 7]), torch.tensor([1, 3, 3, 0])
        coo = torch.sparse_coo_tensor(torch.stack((rows, columns)), torch.tensor([2.0, 1.5, -2.5, 0]), (8, 4))   # 5, 3 twice
        csr = torch.sparse_csr_tensor(torch.tensor([0, 1, 1, 1, 1, 1, 2, 2, 3]), torch.tensor([1, 3, 0]),
                                      torch.tensor([2.0, -1, 0]), (8, 4))
        for sparse in (coo, csr):
            for content in ({**self.state, "0.weight": sparse}, {"net": {**self.state, "0.weight": sparse}, "loss": 0.1}):
                numpy.testing.assert_array_equal(self.convert(content)["dense1.weight"], weight.numpy())
                self.assertEqual(pruntrain.load(self.out)["dense1.weight"].nnz, 3)      # one of them is 0

    def test_weight_norm_is_folded(self):
        for dim in (0, 1, None):
            torch.manual_seed(2)
            network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
            nn.utils.weight_norm(network[0], dim=dim)
            with torch.no_grad():
                network[0].weight_g *= 1.7
            state = network.state_dict()
            newer = {name.replace("weight_g", "parametrizations.weight.original0").replace(
                "weight_v", "parametrizations.weight.original1"): value for name, value in state.items()}
            for given in (state, newer):
                self.convert(given)
                self.assert_computes(network)
        self.refuse({**state, "0.weight_g": torch.ones(3)}, "0.weight_g is (3,)")

    def test_other_parametrizations_are_named(self):
        nn.utils.spectral_norm(self.network[0])
        self.refuse(self.network.state_dict(), "0.weight has spectral_norm", "remove_spectral_norm")
        newer = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        nn.utils.parametrizations.spectral_norm(newer[0])
        self.refuse(newer.state_dict(), "0.parametrizations.weight.original is parametrized", "remove_parametrizations")


class Safetensors(Files):
    def test_types_of_others(self):
        data, header = b"", {"__metadata__": {"format": "pt"}}
        for (name, value), kind in zip(self.state.items(), ("BF16", "F16", "F64", "F32")):
            wide = value.numpy()
            raw = {"BF16": lambda v: (v.view(numpy.uint32) >> 16).astype("<u2"), "F16": lambda v: v.astype("<f2"),
                   "F64": lambda v: v.astype("<f8"), "F32": lambda v: v}[kind](wide).tobytes()
            header[name] = {"dtype": kind, "shape": list(wide.shape), "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
        path = write_safetensors(self.folder / "model.safetensors", header, data)
        arrays = self.convert(path)
        shortened = (self.state["0.weight"].numpy().view(numpy.uint32) >> 16 << 16).view(numpy.float32)
        numpy.testing.assert_array_equal(arrays["dense1.weight"], shortened)
        numpy.testing.assert_array_equal(arrays["dense1.bias"], self.state["0.bias"].half().float().numpy())
        numpy.testing.assert_array_equal(arrays["dense2.bias"], self.state["2.bias"].numpy())
        numpy.testing.assert_array_equal(self.convert(path.rename(self.folder / "model.pt"))["dense1.weight"], shortened)

    def test_invalid_files_are_refused(self):
        def entry(begin, end, kind="F32", shape=(1,)):
            return {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
        path = self.folder / "model.safetensors"
        cases = (({"a": entry(0, 4), "b": entry(2, 6)}, 6, "'b' begin at 2, those of 'a' end at 4"),
                 ({"a": entry(0, 4), "b": entry(0, 4)}, 4, "'b' begin at 0"), ({"a": entry(4, 8)}, 8, "those of 'the header' end at 0"),
                 ({"a": entry(0, 4)}, 8, "describes 4 bytes of data, the file has 8"), ({"a": entry(0, 4)}, 3, "the file has 3"),
                 ({"a": entry(0, 8)}, 8, "needs 4 bytes"), ({"a": entry(4, 0)}, 4, "needs 4 bytes"),
                 ({"a": entry(0, 4, "F8_E4M3")}, 4, "of type F8_E4M3"), ({"a": entry(0, 4, shape=(-1,))}, 4, "not lists of sizes"),
                 ({"a": entry(0, 4, shape=(True,))}, 4, "not lists of sizes"), ({"a": entry(0, 4, shape=(10**30,))}, 4, "not lists"),
                 ({"a": {"dtype": "F32"}}, 4, "must have dtype"), ({"a": 7}, 4, "must have dtype"), ([1], 0, "no map"),
                 (b'{"a":', 0, "no JSON"), (b"\xff\xfe", 0, "no JSON"), (b"[" * 100_000, 0, "no JSON"), ({}, 0, "has no tensors"),
                 (b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4, "twice"))
        for header, size, word in cases:
            with self.subTest(word):
                self.refuse(write_safetensors(path, header, b"\0" * size), word)
        for length in (1 << 63, 10**12, 1000):
            self.refuse(write_safetensors(path, b"{}", length=length), f"the length of the header is {length}")
        path.write_bytes(b"\0\0\0")
        self.refuse(path, "fewer than the 8")


if __name__ == "__main__":
    unittest.main()
