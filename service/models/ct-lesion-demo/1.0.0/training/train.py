"""Makes the demonstration model and everything beside it: network, card, golden vectors and samples.

    python3.11 -m venv .venv-train && .venv-train/bin/pip install -r requirements-train.txt
    PYTHONPATH=. .venv-train/bin/python service/models/ct-lesion-demo/1.0.0/training/train.py

PyTorch is used here and nowhere else. One seed and one thread: the same versions make the same model. Slices go
through the service's own preprocessing (`service.domain.preprocess`), so training and serving cannot differ, and
every figure in the card is measured on the exported model through the service's own `judge` (`train_evidence`).
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import train_evidence
import train_phantoms
from numpy.typing import NDArray
from torch import Tensor, nn

from service.domain.preprocess import grey_levels, normalise, resize

SEED = 20260101
OPSET = 17
ROWS = COLUMNS = 256
SPLITS = {"training": 3200, "validation": 1000, "test": 2000}
CROPPED_EPOCHS, WHOLE_EPOCHS = 8, 2
BATCH = 32
CELL = 16  # pixels of the input that one value of the map stands for, each way
PEAK_RATE = 2e-3


class Block(nn.Module):
    """Two 3 x 3 convolutions around a shortcut (He et al., "Deep Residual Learning", CVPR 2016, section 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.path = nn.Sequential(_unit(width, width), nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.norm = nn.BatchNorm2d(width)

    def forward(self, value: Tensor) -> Tensor:
        return torch.relu(value + self.norm(self.path(value)))


class Network(nn.Module):
    """A slice to one logit: a map of spots, 16 x 16, whose greatest value decides.

    Phantoms know where their lesion lies, so the map is taught too: from the slice's truth alone, nothing was
    learned from a few thousand slices.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = [_unit(1, widths[0], stride=2)]
        for before, width in pairwise(widths):
            layers += [_unit(before, width, stride=2), Block(width)]
        self.body = nn.Sequential(*layers)
        self.spots = nn.Conv2d(widths[-1], 1, 1)
        nn.init.constant_(self.spots.bias, -4.0)  # spots are rare: begin by seeing none

    def map(self, value: Tensor) -> Tensor:
        return self.spots(self.body(value))

    def forward(self, value: Tensor) -> Tensor:
        return self.map(value).amax(dim=(2, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent)
    parser.add_argument("--evidence-only", action="store_true", help="keep model.onnx; write all that is beside it")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    slices = {
        split: [train_phantoms.make(SEED + part, index) for index in range(count)]
        for part, (split, count) in enumerate(SPLITS.items())
    }
    print("slices made", flush=True)
    if not options.evidence_only:
        options.out.mkdir(parents=True, exist_ok=True)
        export(train(slices["training"], slices["validation"]), options.out / "model.onnx")
    train_evidence.write(options.out, slices, seed=SEED)


def train(slices: list[train_phantoms.Slice], held_out: list[train_phantoms.Slice]) -> Network:
    """AdamW under a one-cycle rate; the last epoch's network is taken, so that validation picks nothing here.

    The network is convolutional, so most epochs see a quarter of each slice, about the liver, in a quarter of the
    time; the last ones see all of it.
    """
    epochs = CROPPED_EPOCHS + WHOLE_EPOCHS
    inputs, maps = tensors(slices), targets(slices)
    seen = tensors(held_out), torch.tensor([float(each.lesion) for each in held_out])
    network = Network().to(memory_format=torch.channels_last)  # half the time of the other order on a CPU
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=1e-2)
    steps = -(-len(inputs) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, epochs=epochs, steps_per_epoch=steps)
    for epoch in range(epochs):
        started = time.monotonic()
        network.train()
        for chosen in torch.randperm(len(inputs)).split(BATCH):
            batch, truth = inputs[chosen], maps[chosen]
            if epoch < CROPPED_EPOCHS:
                batch, truth = _crop(batch, truth)
            if torch.rand(()) < 0.5:  # a spot upside down is as good a spot
                batch, truth = batch.flip(2), truth.flip(2)
            loss = spot_loss(network.map(batch), truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
        taken = time.monotonic() - started
        print(f"epoch {epoch + 1}: validation loss {_loss(network, *seen):.4f}, {taken:.0f} s", flush=True)
    return network.eval()


def spot_loss(map_: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy of every cell that is not left open, and of the greatest against the slice's truth."""
    cells = nn.functional.binary_cross_entropy_with_logits(map_, truth.clamp(min=0), reduction="none")
    whole = nn.functional.binary_cross_entropy_with_logits(map_.amax(dim=(1, 2, 3)), truth.amax(dim=(1, 2, 3)))
    return (cells * (truth >= 0)).sum() / len(truth) + whole


def tensors(slices: list[train_phantoms.Slice]) -> Tensor:
    contract = train_evidence.CONTRACT
    inputs: NDArray[np.float32] = np.concatenate(
        [
            normalise(resize(grey_levels(train_evidence.image(each), contract).levels, ROWS, COLUMNS), contract)
            for each in slices
        ]
    )
    return torch.from_numpy(inputs).to(memory_format=torch.channels_last)


def targets(slices: list[train_phantoms.Slice]) -> Tensor:
    """[slices, 1, 16, 16]: 1 in the cell of the lesion's centre, -1 (left open) in the cells around it, else 0."""
    truth = torch.zeros(len(slices), 1, ROWS // CELL, COLUMNS // CELL)
    for each, cells in zip(slices, truth[:, 0], strict=True):
        if each.lesion:
            column, row = (int(share * COLUMNS // CELL) for share in each.place)
            cells[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = -1
            cells[row, column] = 1
    return truth


def export(network: Network, path: Path) -> None:
    """ONNX with fixed shapes and no external data."""
    contract = train_evidence.CONTRACT
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, ROWS, COLUMNS),),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=[contract.tensor],
        output_names=[train_evidence.OUTPUT_TENSOR],
    )


def _unit(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )


def _crop(batch: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Half the rows and columns, from the left middle, where the liver is; moved by whole cells."""
    row, column = int(torch.randint(2, 6, ())), int(torch.randint(0, 4, ()))
    cells = truth.shape[2] // 2
    pixels = slice(row * CELL, (row + cells) * CELL), slice(column * CELL, (column + cells) * CELL)
    cropped = batch[:, :, pixels[0], pixels[1]].contiguous(memory_format=torch.channels_last)
    return cropped, truth[:, :, row : row + cells, column : column + cells]


@torch.no_grad()
def _loss(network: Network, inputs: Tensor, truths: Tensor) -> float:
    network.eval()
    logits = torch.cat([network(batch)[:, 0] for batch in inputs.split(BATCH)])
    return float(nn.functional.binary_cross_entropy_with_logits(logits, truths))


if __name__ == "__main__":
    main()
