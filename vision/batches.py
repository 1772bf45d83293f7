"""Batches of films from the cache to the device: read ahead by a thread, so that the network does not wait."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.images.cache import ImageCache

_AHEAD: Final = 4
_END: Final = object()


class Store:
    """The cached films of a part: ``store.take(rows)`` is uint8 [B, S, S].

    The shards are mapped into memory and stay on the disk until they are looked at.
    """

    def __init__(self, cache: ImageCache, image_ids: Sequence[str]) -> None:
        places = {row["image_id"]: (row["shard"], row["row"]) for row in cache.rows}
        found = np.array([places[image_id] for image_id in image_ids], dtype=np.int64).reshape(-1, 2)
        self.shard, self.row = found[:, 0], found[:, 1]
        self.size = int(cache.rows[0]["size"])
        self._maps: dict[int, NDArray[np.uint8]] = {}
        self._folder = cache.folder

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Films by row, in the order asked for."""
        films = np.empty((len(rows), self.size, self.size), dtype=np.uint8)
        for shard in np.unique(self.shard[rows]):
            here = np.flatnonzero(self.shard[rows] == shard)
            films[here] = self._map(int(shard))[self.row[rows[here]]]
        return films

    def _map(self, shard: int) -> NDArray[np.uint8]:
        if shard not in self._maps:
            path = self._folder / f"films-{shard:05d}.npy"
            self._maps[shard] = np.load(path, mmap_mode="r", allow_pickle=False)
        return self._maps[shard]


def to_greys(films: Tensor) -> Tensor:
    """Films uint8 [B, S, S] as the network takes them: [B, 1, S, S] float32 in 0..1."""
    return films.unsqueeze(1).to(torch.float32) / 255


def read_ahead(store: Store, groups: Sequence[NDArray[np.int64]], device: torch.device) -> Iterator[Tensor]:
    """The films of each group of rows, uint8 [B, S, S] on the device, in order; a thread reads the next ones."""
    ready: queue.Queue[Any] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def work() -> None:
        try:
            for rows in groups:
                films = torch.from_numpy(store.take(rows))
                _put(ready, films.pin_memory() if device.type == "cuda" else films, stop)
                if stop.is_set():
                    return
            _put(ready, _END, stop)
        except Exception as error:  # raised again where the batch was to be
            _put(ready, error, stop)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (films := ready.get()) is not _END:
            if isinstance(films, Exception):
                raise films
            yield films.to(device, non_blocking=True)
    finally:
        stop.set()
        thread.join()


def _put(ready: queue.Queue[Any], item: Any, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.2)
        except queue.Full:
            continue
        return
