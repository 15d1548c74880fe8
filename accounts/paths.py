"""Ids in paths: ``<id:name>`` in the routes of every app."""

from django.urls import register_converter


class IdConverter:
    """The number of a row, as far as any database can count. What is longer is no path, and never reaches a query."""

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(IdConverter, "id")
