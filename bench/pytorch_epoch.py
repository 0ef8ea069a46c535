"""Epochs of 784-256-10 in PyTorch, one thread: processor seconds, one line an epoch. Images and labels: IDX, gzip-compressed.
Usage: pytorch_epoch.py IMAGES LABELS EPOCHS. Exit code 3: there is no PyTorch."""
import gzip
import sys
import time

try:
    import torch
except ImportError:
    sys.exit(3)
import numpy

torch.set_num_threads(1)
torch.manual_seed(1)
images, labels, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3])
pixels = numpy.frombuffer(gzip.open(images).read()[16:], numpy.uint8).reshape(-1, 784)
x = torch.from_numpy(pixels.astype(numpy.float32) / 255)
y = torch.from_numpy(numpy.frombuffer(gzip.open(labels).read()[8:], numpy.uint8).astype(numpy.int64))
network = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
loss = torch.nn.CrossEntropyLoss()
print(torch.__version__)
for _ in range(epochs):
    begin = time.process_time()
    order = torch.randperm(len(x))
    for first in range(0, len(x), 64):
        batch = order[first:first + 64]
        optimiser.zero_grad()
        loss(network(x[batch]), y[batch]).backward()
        optimiser.step()
    print(time.process_time() - begin)
