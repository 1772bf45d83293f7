"""How fast the neural labeler reads and learns, and what share of the device's arithmetic that is.

    python -m tests.benchmarks.neural                                  the default network on what there is: GPU or CPU
    python -m tests.benchmarks.neural --device cpu --threads 1 --ways eager,compile
    python -m tests.benchmarks.neural --model RUN --source SOURCE      a trained one, from text to labels
    python -m tests.benchmarks.neural --json speed.json                and the figures as JSON

A batch is of texts of one length, all of it tokens, so what is measured is the network. The bound is the network's
floating-point operations (torch's own counter) over what a large matrix product reaches on the same device in the same
precision, measured in the same run. Prints Markdown tables to stdout. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import __version__ as transformers_version

from labeler.neural.model import BertCnnConfig, BertCnnForLabels

_LEAST_SECONDS: Final = 1.0
_WARM_UPS: Final = 3
_MATRIX: Final = {"cuda": 8192, "cpu": 2048}
_PRECISIONS: Final = {"fp32": torch.float32, "bf16": torch.bfloat16}
WAYS: Final = ("eager", "compile")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: ``rate`` texts per second, ``share`` of the bound, ``peak_gib`` of the GPU's memory."""

    task: str
    way: str
    precision: str
    batch: int
    tokens: int
    rate: float
    share: float
    peak_gib: float | None


def seconds_per_call(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one call, of as many as take a second, after some that warm up."""
    for _ in range(_WARM_UPS):
        work()
    _wait(device)
    calls, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < _LEAST_SECONDS:
        work()
        calls += 1
        if device.type == "cuda" and calls % 10 == 0:
            _wait(device)
    _wait(device)
    return (time.perf_counter() - begun) / calls if spent else 0.0


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def operations_per_second(device: torch.device, precision: str) -> float:
    """What a large matrix product reaches, in floating-point operations per second."""
    size = _MATRIX[device.type]
    one, other = (torch.randn(size, size, device=device, dtype=_PRECISIONS[precision]) for _ in range(2))
    return 2 * size**3 / seconds_per_call(lambda: one @ other, device)


def operations_of(work: Callable[[], Any]) -> int:
    """The floating-point operations of a call."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def batch_of(model: BertCnnForLabels, size: int, tokens: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask [size, tokens] of random tokens."""
    chance = torch.Generator().manual_seed(0)
    ids = torch.randint(5, model.config.encoder.vocab_size, (size, tokens), generator=chance)
    return ids.to(device), torch.ones_like(ids).to(device)


def in_a_way(model: BertCnnForLabels, way: str) -> nn.Module:
    """The network as it is, or compiled."""
    if way == "compile":
        return torch.compile(model, dynamic=True)  # type: ignore[return-value]
    return model


def reading(model: BertCnnForLabels, way: str, precision: str, sizes: Sequence[int], tokens: int) -> list[Row]:
    """Texts labeled per second at each batch size."""
    device = model.device
    bound = operations_per_second(device, precision)
    network = in_a_way(model.eval(), way)
    rows = []
    for size in sizes:
        ids, mask = batch_of(model, size, tokens, device)
        with torch.inference_mode(), _precision(device, precision):
            needed = operations_of(lambda: model(ids, mask))  # noqa: B023 - called at once
            _forget_peak(device)
            spent = seconds_per_call(lambda: network(ids, mask), device)  # noqa: B023
        rows.append(Row("read", way, precision, size, tokens, size / spent, needed / spent / bound, _peak(device)))
    return rows


def learning(model: BertCnnForLabels, precision: str, sizes: Sequence[int], tokens: int) -> list[Row]:
    """Texts learned from per second at each batch size: forward, backward and a step of AdamW."""
    device = model.device
    bound = operations_per_second(device, precision)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    model.train()
    rows = []
    for size in sizes:
        ids, mask = batch_of(model, size, tokens, device)
        labels = torch.zeros(size, len(model.config.label_names), dtype=torch.long, device=device)

        def step(ids: Tensor = ids, mask: Tensor = mask, labels: Tensor = labels) -> None:
            with _precision(device, precision):
                loss = model(ids, mask, labels).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        needed = operations_of(step)
        _forget_peak(device)
        spent = seconds_per_call(step, device)
        rows.append(Row("learn", "eager", precision, size, tokens, size / spent, needed / spent / bound, _peak(device)))
    return rows


def _precision(device: torch.device, precision: str) -> Any:
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, _PRECISIONS[precision])


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None


def whole(folder: Path, source: str, device: str, most: int) -> dict[str, float]:
    """Reports per second of a trained network from text to states, and of a few with evidence."""
    from corpora.readers import ReadOptions, open_source
    from corpora.types import Study
    from labeler.neural.predict import NeuralLabeler

    records = (record for record in open_source(source, ReadOptions()) if isinstance(record, Study))
    reports = [record.report for record, _ in zip(records, range(most), strict=False) if record.report is not None]
    labeler = NeuralLabeler(folder, device=device)
    labeler.states(reports[:64])
    begun = time.perf_counter()
    labeler.states(reports)
    states = time.perf_counter() - begun
    some = reports[:: max(len(reports) // 20, 1)][:20]
    begun = time.perf_counter()
    for report in some:
        labeler(report)
    evidence = time.perf_counter() - begun
    return {
        "reports": len(reports),
        "reports per second": len(reports) / states,
        "with evidence, one by one": len(some) / evidence,
    }


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| task | way | precision | batch | tokens | texts/s | share of bound | GiB |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        memory = "" if row.peak_gib is None else f"{row.peak_gib:.2f}"
        lines.append(
            f"| {row.task} | {row.way} | {row.precision} | {row.batch} | {row.tokens} | {row.rate:,.0f} | "
            f"{row.share:.1%} | {memory} |"
        )
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.neural", description=(__doc__ or "").split("\n")[0]
    )
    found = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=found, help="device of torch (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads of the CPU; torch's own choice if not given")
    parser.add_argument("--model", type=Path, help="folder of a trained network; the default one if not given")
    parser.add_argument("--source", help="reports to label from text to states, with --model")
    parser.add_argument("--most", type=int, default=4000, help="reports of the source at most (%(default)s)")
    parser.add_argument("--batches", default="1,16,64" if found == "cpu" else "1,16,64,256,1024", help="%(default)s")
    parser.add_argument("--tokens", default="64,200", help="lengths of the texts (%(default)s)")
    parser.add_argument("--precisions", default="fp32" if found == "cpu" else "bf16,fp32", help="%(default)s")
    parser.add_argument("--ways", default="eager", help=f"some of {','.join(WAYS)} (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    options = parser.parse_args(arguments)
    unknown = set(options.ways.split(",")) - set(WAYS) | set(options.precisions.split(",")) - set(_PRECISIONS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    return options


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """All that is asked for."""
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    torch.manual_seed(0)
    config = BertCnnConfig(label_names=[f"label {number}" for number in range(14)])
    model = BertCnnForLabels.from_pretrained(options.model) if options.model else BertCnnForLabels(config)
    model.to(device)
    sizes = [int(size) for size in options.batches.split(",")]
    rows: list[Row] = []
    for precision in options.precisions.split(","):
        for tokens in map(int, options.tokens.split(",")):
            for way in options.ways.split(","):
                rows += reading(model, way, precision, sizes, tokens)
            rows += learning(model, precision, sizes, tokens)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    figures: dict[str, Any] = {
        "device": name, "threads": torch.get_num_threads(), "torch": torch.__version__,
        "transformers": transformers_version, "parameters": sum(weight.numel() for weight in model.parameters()),
        "rows": [asdict(row) for row in rows],
        "matrix product, operations per second": {
            precision: operations_per_second(device, precision) for precision in options.precisions.split(",")
        },
    }  # fmt: skip
    if options.model and options.source:
        figures["whole"] = whole(options.model, options.source, options.device, options.most)
    print(table(rows))
    for key, value in figures.items():
        if key != "rows":
            print(f"{key}: {value}")
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    options = _options(arguments)
    figures = benchmark(options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
