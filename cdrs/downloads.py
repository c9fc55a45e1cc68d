"""The export of finance as a stream for a browser: the same lines as ``exports.write_csv``, from one snapshot."""

import csv
from collections.abc import Iterator

from django.db import connection, transaction
from django.db.models import QuerySet

from cdrs.exports import COLUMNS, rows_of
from cdrs.models import CDR


class _Passing:
    """Hands each line on instead of keeping it, so that memory does not grow with the export."""

    def write(self, text: str) -> str:
        return text


def csv_lines(cdrs: QuerySet[CDR]) -> Iterator[str]:
    """Yield the heading, then one line per CDR.

    Raises cdrs.wire.Altered at the first CDR that was tampered with: the download breaks off, it never ends as if it
    were complete.
    """
    writer = csv.writer(_Passing(), lineterminator="\r\n")
    with transaction.atomic():
        one_snapshot()
        yield writer.writerow(COLUMNS)  # type: ignore[misc]  # it returns what write() returned
        for row in rows_of(cdrs):
            yield writer.writerow([column(row) for column in COLUMNS.values()])  # type: ignore[misc]  # as above


def one_snapshot() -> None:
    """Let the transaction that was just begun see one moment only, for as long as it takes."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
