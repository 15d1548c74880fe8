"""Probes: is the process alive, and may it be sent requests?"""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from psycopg_pool import PoolTimeout

from config import stopping
from config.api import request_id_of
from config.stopping import NotReady


@never_cache
@require_safe
def alive(request: HttpRequest) -> JsonResponse:
    """The process answers. Nothing else is asked, so that a database outage does not restart it."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """The database answers and has every migration that this code needs; else, or before it stops, 503 and why."""
    try:
        stopping.check()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        check_migrations()
    except NotReady as error:
        refusal = error
    except (DatabaseError, PoolTimeout):
        refusal = NotReady("The database does not answer.")
    else:
        return JsonResponse({"status": "ready"})
    return JsonResponse(refusal.flat(request_id_of(request)), status=refusal.status)


class _Migrations:
    """Migrations are only ever added while a process runs, so once all are there it stays so."""

    applied = False


def check_migrations() -> None:
    """:raises NotReady: if the database lacks a migration"""
    if _Migrations.applied:
        return
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotReady("The database lacks migrations: run manage.py migrate.")
    _Migrations.applied = True
