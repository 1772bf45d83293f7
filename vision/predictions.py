"""Tables of predictions: ids, then a probability for each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from corpora.runs import atomic_writer
from vision.pooling import Probabilities


def write_predictions(
    path: Path, ids: Mapping[str, Sequence[str]], labels: Sequence[str], probabilities: Probabilities
) -> None:
    """Write a Parquet, CSV or JSONL table (by its name): the columns ``ids``, then one a label. Raises ``RunError``."""
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    columns = {**{name: pa.array(values, pa.string()) for name, values in ids.items()},
               **{label: pa.array(probabilities[:, at]) for at, label in enumerate(labels)}}  # fmt: skip
    table = pa.table(columns)
    if path.suffix == ".jsonl":
        import json

        with atomic_writer(path) as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())
        return
    with atomic_writer(path, "wb") as file:
        if path.suffix == ".csv":
            pc.write_csv(table, file)
        else:
            pq.write_table(table, file)
