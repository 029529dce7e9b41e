#!/usr/bin/env python3
"""Trains the model of a pruntrain configuration on Fashion-MNIST with PyTorch's DistributedDataParallel over gloo.

    pytorch_ddp.py CONFIG.yaml [--ranks 2] [--local-batch 128] [--warm-up-steps 10] [--counted-steps 140]

One thread per rank, Adam, cross-entropy, data in memory as normalized floats. Prints the throughput of the measured steps in
samples per second over all ranks.
"""

import argparse
import gzip
import os
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import packages  # noqa: E402

packages.explain(__name__)
import numpy  # noqa: E402
import torch  # noqa: E402
import torch.distributed  # noqa: E402
import torch.multiprocessing  # noqa: E402
import yaml  # noqa: E402

DIRECTORY = "/usr/share/datasets/fashion-mnist"


def load():
    with gzip.open(f"{DIRECTORY}/train-images-idx3-ubyte.gz") as file:
        images = numpy.frombuffer(file.read(), numpy.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(f"{DIRECTORY}/train-labels-idx1-ubyte.gz") as file:
        labels = numpy.frombuffer(file.read(), numpy.uint8, offset=8)
    inputs = torch.from_numpy(images.astype(numpy.float32))
    return (inputs - inputs.mean()) / inputs.std(), torch.from_numpy(labels.astype(numpy.int64))


def build(model):
    """Converts a `model` list to torch modules."""
    channels, rows, columns = 1, 28, 28
    modules = []
    for layer in model:
        kernel = layer.get("kernel")
        if layer["layer"] == "conv2d":
            padding = layer.get("padding", 0)
            modules.append(torch.nn.Conv2d(channels, layer["channels"], kernel, padding=padding))
            channels, rows, columns = layer["channels"], rows + 2 * padding - kernel + 1, columns + 2 * padding - kernel + 1
        elif layer["layer"] == "max_pool2d":
            modules.append(torch.nn.MaxPool2d(kernel))
            rows, columns = rows // kernel, columns // kernel
        elif layer["layer"] == "dense":
            modules.append(torch.nn.Linear(channels * rows * columns, layer["units"]))
            channels, rows, columns = layer["units"], 1, 1
        else:
            modules.append({"flatten": torch.nn.Flatten, "relu": torch.nn.ReLU}[layer["layer"]]())
    return torch.nn.Sequential(*modules)


def train(rank, arguments, port, rates):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=arguments.ranks)
    torch.manual_seed(1)
    inputs, labels = load()
    with open(arguments.config) as file:
        config = yaml.safe_load(file)
    model = torch.nn.parallel.DistributedDataParallel(build(config["model"]), gradient_as_bucket_view=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=config["optimizer"]["learning_rate"])
    loss_function = torch.nn.CrossEntropyLoss()
    batch = arguments.local_batch
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(1))
    for step in range(arguments.warm_up_steps + arguments.counted_steps):
        if step == arguments.warm_up_steps:
            torch.distributed.barrier()
            start = time.perf_counter()
        chosen = order[(step * arguments.ranks + rank) * batch:][:batch]
        optimizer.zero_grad(set_to_none=True)
        loss_function(model(inputs[chosen]), labels[chosen]).backward()
        optimizer.step()
    torch.distributed.barrier()
    if rank == 0:
        rates.put(arguments.counted_steps * batch * arguments.ranks / (time.perf_counter() - start))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--local-batch", type=int, default=128)
    parser.add_argument("--warm-up-steps", type=int, default=10)
    parser.add_argument("--counted-steps", type=int, default=140)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rates = torch.multiprocessing.get_context("spawn").SimpleQueue()
    torch.multiprocessing.spawn(train, (arguments, port, rates), nprocs=arguments.ranks)
    print(f"{rates.get():.0f}")


if __name__ == "__main__":
    main()
