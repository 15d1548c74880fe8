"""
The worker: does the jobs of ``config.jobs`` when they are due. Any number can run, and be killed at any time.

Each job is leased in the database: one worker is at it, and renews the lease while it works. Its outcome counts
only as long as the lease is its own.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import StringIO
from uuid import uuid4

from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from config.jobs import JOBS, LEASE, next_due
from config.models import Job

logger = logging.getLogger(__name__)

#: How long a worker that found nothing due waits before it looks again.
IDLE_SECONDS = 5.0
LONGEST_OUTCOME = 500


def register(*, now: datetime) -> None:
    """Make a row of each job that has none yet, due at once."""
    Job.objects.bulk_create([Job(name=name, due_at=now) for name in JOBS], ignore_conflicts=True)


def lease(worker: str, *, now: datetime) -> Job | None:
    """Lease the job that has been due for longest to ``worker``; None if all are in hand, or none is due."""
    due = Job.objects.filter(Q(leased_until=None) | Q(leased_until__lte=now), name__in=JOBS, due_at__lte=now)
    if not due.exists():
        return None
    with transaction.atomic():
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        job = due.order_by("due_at", "name").first()
        if job is not None:
            job.leased_by, job.leased_until, job.started_at = worker, now + LEASE, now
            job.save(update_fields=["leased_by", "leased_until", "started_at"])
    return job


def renew(job: Job, *, now: datetime) -> bool:
    """Keep the lease of ``job``; False if it is another's by now."""
    return bool(_mine(job).update(leased_until=now + LEASE))


def finish(job: Job, outcome: str, *, succeeded: bool, now: datetime) -> bool:
    """Write how ``job`` ended and when it is due again; False, and nothing, if its lease is another's by now."""
    failures = 0 if succeeded else job.failures + 1
    ended = {"succeeded_at": now} if succeeded else {}
    return bool(
        _mine(job).update(
            due_at=next_due(job.name, failures=failures, now=now),
            leased_by="",
            leased_until=None,
            finished_at=now,
            failures=failures,
            outcome=outcome[:LONGEST_OUTCOME],
            **ended,
        )
    )


def _mine(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(pk=job.pk, leased_by=job.leased_by, started_at=job.started_at)


class Worker:
    """One that does what is due until ``stop`` is set, after the job in hand."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"[:200]

    def run(self) -> None:
        """Work until told to stop. A database that is away is waited for."""
        is_registered = False
        while not self.stop.is_set():
            worked = False
            try:
                if not is_registered:
                    register(now=timezone.now())
                    is_registered = True
                worked = self.turn()
            except DatabaseError as error:
                logger.warning("The worker cannot reach the database: %s", error)
            finally:
                connections.close_all()
            if not worked:
                self.stop.wait(IDLE_SECONDS)

    def turn(self) -> bool:
        """Do the job that is due for longest; False if there is none."""
        job = lease(self.name, now=timezone.now())
        if job is None:
            return False
        with kept(job):
            succeeded, outcome = perform(job.name)
        if not finish(job, outcome, succeeded=succeeded, now=timezone.now()):
            logger.warning("The lease of %s ran out before it ended.", job)
        return True


def perform(name: str) -> tuple[bool, str]:
    """Run the command ``name``. Return whether it succeeded, and the last line that it wrote, or its error."""
    out = StringIO()
    try:
        call_command(name, stdout=out, stderr=out)
    except CommandError as error:
        logger.warning("The job %s failed: %s", name, error)
        return False, str(error)
    except Exception as error:  # a bug in one job must not keep the others from being done
        logger.exception("The job %s failed.", name)
        return False, f"{type(error).__name__}: the log says more."
    return True, out.getvalue().strip().rpartition("\n")[2]


@contextmanager
def kept(job: Job) -> Iterator[None]:
    """Renew the lease of ``job`` from a thread of its own while the block runs."""
    done = threading.Event()

    def renew_until_done() -> None:
        try:
            while not done.wait(LEASE.total_seconds() / 3):
                try:
                    renew(job, now=timezone.now())
                except DatabaseError as error:
                    logger.warning("The lease of %s cannot be renewed: %s", job, error)
        finally:
            connections.close_all()

    keeper = threading.Thread(target=renew_until_done, name=f"lease of {job}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
