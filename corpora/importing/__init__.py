"""Films and reports in: any number of sources become one corpus folder.

    radloop corpus import reports.csv films/ -o corpus
    radloop corpus import CheXpert-v1.0-small/ -o corpus --workers 8
    radloop corpus import site-a/ site-b.zip reports.tgz --mapping ids.csv -o corpus

    plan      what each SOURCE is
    archive   films out of a .zip or .tgz, into CORPUS/images
    walk      the files of a folder              -> index (SQLite, in CORPUS/partial)
    films     what one file says, by processes   -> index
    tables    rows that describe films           -> index
    join      which study each film belongs to
    emit      studies, in order of their ids     -> studies-*.parquet, failures.jsonl, manifest.json

Each stage is a transaction or a row of the index at a time: an import that was killed goes on with ``--resume`` and
ends with the same corpus. Memory stays the same for any number of films.
"""

from corpora.importing.command import import_cli, import_corpus
from corpora.importing.plan import ImportRun

__all__ = ["ImportRun", "import_cli", "import_corpus"]
