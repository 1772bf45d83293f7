"""One set of labels from what several readers, or several tables, say of the films of a study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

States = dict[str, int]


def labels_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """``labels`` of a study from the facts of its rows; with readers also ``readings`` and, if there are any, ``ties``.

    Without readers the first table that has a state for a label counts. Of readers, each label has the state that most
    of them give; where no state has most, it is uncertain (-1) and listed under ``ties``. A row that names one finding
    (``partial``) says nothing of others: what a reader of such rows did not name but another reader did, is negative.

    >>> labels_of([{"labels": {"A": 1}, "reader": "R1"}, {"labels": {"A": 0}, "reader": "R2"}])["ties"]
    ['A']
    """
    rows = [row for row in rows if "labels" in row]
    whole = [row for row in rows if not row.get("partial")]
    # a list of boxes is part of what the table of labels says
    rows = whole or rows
    if not rows:
        return {}
    read = [row for row in rows if row.get("reader")]
    if not read:
        return {"labels": _first(row["labels"] for row in rows)}
    readings: dict[str, States] = {}
    for row in read:
        readings.setdefault(row["reader"], {}).update(
            {name: state for name, state in row["labels"].items() if state == 1 or name not in readings[row["reader"]]}
        )
    if not whole:
        named = list(dict.fromkeys(name for states in readings.values() for name in states))
        readings = {reader: {name: states.get(name, 0) for name in named} for reader, states in readings.items()}
    labels, ties = majority(list(readings.values()))
    labels = _first([labels, *(row["labels"] for row in rows if not row.get("reader"))])
    return {"labels": labels, "readings": readings} | ({"ties": ties} if ties else {})


def _first(states: Iterable[Mapping[str, int]]) -> States:
    found: States = {}
    for one in states:
        for name, state in one.items():
            found.setdefault(name, state)
    return found


def majority(readings: Sequence[States]) -> tuple[States, list[str]]:
    """The state of each label that more than half of those who judged it give, and the labels where there is none.

    >>> majority([{"A": 1, "B": 0}, {"A": 1, "B": 1}, {"A": 0}])
    ({'A': 1, 'B': -1}, ['B'])
    """
    names = list(dict.fromkeys(name for states in readings for name in states))
    labels: States = {}
    ties: list[str] = []
    for name in names:
        given = [states[name] for states in readings if name in states]
        most = next((state for state in (1, 0, -1) if 2 * given.count(state) > len(given)), None)
        labels[name] = -1 if most is None else most
        if most is None:
            ties.append(name)
    return labels, ties
