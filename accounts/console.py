"""What the admin pages of every app share: columns, links between rows, and pages that only show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline

Column = Callable[[Any], Any]

EMPTY = "–"


def link(row: Model | None, text: str = "") -> SafeString | str:
    """Return a link to the page of ``row``, or a dash if there is none."""
    if row is None:
        return EMPTY
    return link_to(type(row), row.pk, text or str(row))


def link_to(model: type[Model], pk: Any, text: str) -> SafeString:
    """The same where only the key of the row is known."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[quote(pk)])
    return format_html('<a class="text-link" href="{}">{}</a>', url, text)


def rows_url(model: type[Model], **lookups: Any) -> str:
    """Return the address of the list of ``model``, narrowed to ``lookups``."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(lookups)}" if lookups else url


def related(path: str, description: str = "") -> Column:
    """Return a column that links to the row at ``path``, such as ``"account"``."""

    @admin.display(description=description or path.replace("_", " "), ordering=path)
    def column(row: Any) -> SafeString | str:
        return link(getattr(row, path))

    column.__name__ = path
    return column


def instant(field: str, description: str) -> Column:
    """Return a column that shows when something happened, on one line."""

    @admin.display(description=description, ordering=field)
    def column(row: Any) -> Any:
        return getattr(row, field)

    column.__name__ = field
    return column


def clipped(field: str, description: str = "") -> Column:
    """Return a column of text that ends in an ellipsis where it is long; hovering shows the whole."""

    @admin.display(description=description or field.replace("_", " "), ordering=field)
    def column(row: Any) -> SafeString | str:
        text = getattr(row, field)
        return format_html('<span class="clipped" title="{}">{}</span>', text, text) if text else EMPTY

    column.__name__ = field
    return column


def badge(field: str, colours: Mapping[str, str], description: str = "") -> Column:
    """Return a column that shows a choice in the colour of its meaning; what has none is grey."""

    @admin.display(description=description or field.replace("_", " "), ordering=field)
    def column(row: Any) -> SafeString:
        return label(getattr(row, field), colours.get(getattr(row, field), ""))

    column.__name__ = field
    return column


def label(text: str, colour: str = "") -> SafeString:
    """Return a small label: ``good``, ``bad``, ``warning``, ``info``, or grey."""
    return format_html('<span class="badge {}">{}</span>', colour, text)


def facts(pairs: Mapping[str, Any]) -> SafeString | str:
    """Show a mapping as a list of names and values, or a dash if it is empty."""
    if not pairs:
        return EMPTY
    items = format_html_join("", "<dt>{}</dt><dd>{}</dd>", pairs.items())
    return format_html('<dl class="facts">{}</dl>', items)


@dataclass(frozen=True, slots=True)
class Table:
    """Related rows on a page. ``all_url`` leads to the full list, where ``rows`` are only the newest."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]
    all_url: str = ""


class Page(ModelAdmin):
    """The admin page of a model, as all of ours look."""

    list_per_page = 50
    #: The total behind a search costs a second pass over the table and tells an operator nothing.
    show_full_result_count = False
    empty_value_display = EMPTY
    list_fullwidth = True
    compressed_fields = False
    #: What an empty list says, and where its rows come from.
    nothing_yet = ""


class NeverDeleted:
    """Rows that history refers to. They are switched off instead."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyPage(NeverDeleted, Page):
    """A page to look at: nobody adds, changes or deletes here, whatever they are permitted elsewhere."""

    actions = None
    change_form_after_template = "admin/tables.html"

    def tables(self, row: Any) -> list[Table]:
        """The related rows that the page of ``row`` shows below its fields."""
        return []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        tables = self.tables(row) if row is not None and self.has_view_permission(request, row) else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyInline(TabularInline):
    extra = 0
    can_delete = False
    show_change_link = False
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class StateFilter(admin.SimpleListFilter):
    """A filter by a condition that is no single field. ``states`` maps a value to its label and lookup."""

    states: ClassVar[Mapping[str, tuple[str, Callable[[], Any]]]] = {}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, label) for value, (label, _) in self.states.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        state = self.states.get(self.value() or "")
        return queryset.filter(state[1]()) if state else queryset


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def related_lists(page: Any, row: Model) -> SafeString | str:
    """
    Links to the lists of all that belongs to ``row``.

    Asked of the registered models, so that a page need not know the floors above its own.
    """
    relations = [
        relation
        for relation in row._meta.related_objects
        if relation.one_to_many and page.admin_site.is_registered(relation.related_model)
    ]
    links = [
        (rows_url(relation.related_model, **{f"{relation.field.name}__id__exact": row.pk}),
         relation.related_model._meta.verbose_name_plural)
        for relation in relations
    ]  # fmt: skip
    return format_html_join(" · ", '<a class="text-link" href="{}">{}</a>', links) or EMPTY


def reload_page(model: type[Model], pk: Any) -> HttpResponse:
    """Answer a dialog that has done its work: the browser loads the page of the row again."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[quote(pk)])
    return HttpResponse(headers={"HX-Redirect": url})
