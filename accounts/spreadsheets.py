"""CSV as spreadsheets open it: streamed row by row, and without a cell that they would take for a formula."""

import csv
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

#: What makes a spreadsheet calculate, also in the wide forms that some of them read alike.
FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
ROWS_A_PART = 200


class _Line:
    """A file that hands over what is written to it: ``csv`` writes a row at a time, and returns this."""

    def write(self, line: str) -> str:
        return line


def lines(rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Yield ``rows`` as CSV (RFC 4180, UTF-8), some rows at a time."""
    writer = csv.writer(_Line())
    part = []
    for row in rows:
        part.append(writer.writerow([harmless(cell) for cell in row]))
        if len(part) == ROWS_A_PART:
            yield "".join(part).encode()
            part = []
    yield "".join(part).encode()


def harmless(cell: Any) -> Any:
    """
    Return ``cell``; text that would be a formula with a quote before it, which makes it text again.

    A plain number stays what it is, also below zero.
    """
    is_formula = isinstance(cell, str) and cell.startswith(FORMULA_BEGINS) and NUMBER.fullmatch(cell) is None
    return f"'{cell}" if is_formula else cell


class Download(StreamingHttpResponse):
    """
    A file of ``parts``, which are asked for as they are sent: however many there are, few are in memory.

    Under ASGI too, where the framework would gather them all before it sends the first.
    """

    def __init__(self, parts: Iterable[bytes], *, content_type: str, filename: str) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
        super().__init__(parts, content_type=content_type, headers=headers)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts: Any = self.streaming_content
        following: Callable[[], bytes | None] = partial(next, parts, None)
        while (part := await sync_to_async(following)()) is not None:
            yield part


class CsvResponse(Download):
    """A download of ``rows``."""

    def __init__(self, rows: Iterable[Sequence[Any]], *, filename: str) -> None:
        super().__init__(lines(rows), content_type="text/csv; charset=utf-8", filename=filename)
