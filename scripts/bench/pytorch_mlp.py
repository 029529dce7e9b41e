#!/usr/bin/env python3
"""Trains an MLP on Fashion-MNIST with PyTorch's DistributedDataParallel over gloo, one thread a rank.

    pytorch_mlp.py [--ranks 2] [--units 1024 1024] [--local-batch 128] [--epochs 1]

Prints the training rate in samples per second over all ranks. The data lie in memory as normalised floats; the first
steps are not counted.
"""

import argparse
import gzip
import os
import socket
import time

import numpy
import torch
import torch.distributed
import torch.multiprocessing

WARM_UP_STEPS = 5


def load(directory):
    with gzip.open(f"{directory}/train-images-idx3-ubyte.gz") as file:
        images = numpy.frombuffer(file.read(), numpy.uint8, offset=16).reshape(-1, 784)
    with gzip.open(f"{directory}/train-labels-idx1-ubyte.gz") as file:
        labels = numpy.frombuffer(file.read(), numpy.uint8, offset=8)
    inputs = torch.from_numpy(images.astype(numpy.float32))
    return (inputs - inputs.mean()) / inputs.std(), torch.from_numpy(labels.astype(numpy.int64))


def train(rank, arguments, port, rates):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=arguments.ranks)
    torch.manual_seed(1)
    inputs, labels = load(arguments.directory)
    sizes = [784, *arguments.units, 10]
    layers = []
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(*layers[:-1]))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    loss_function = torch.nn.CrossEntropyLoss()
    batch = arguments.local_batch
    steps = len(inputs) // (batch * arguments.ranks)
    counted = 0
    for epoch in range(arguments.epochs):
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(epoch))
        for step in range(steps):
            if epoch == 0 and step == WARM_UP_STEPS:
                torch.distributed.barrier()
                start = time.perf_counter()
            begin = (step * arguments.ranks + rank) * batch
            chosen = order[begin:begin + batch]
            optimizer.zero_grad()
            loss_function(model(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()
            counted += epoch > 0 or step >= WARM_UP_STEPS
    torch.distributed.barrier()
    if rank == 0:
        rates.put(counted * batch * arguments.ranks / (time.perf_counter() - start))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--units", type=int, nargs="+", default=[1024, 1024])
    parser.add_argument("--local-batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--directory", default="/usr/share/datasets/fashion-mnist")
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
