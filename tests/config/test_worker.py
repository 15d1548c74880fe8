"""The worker: each job is done by one at a time, again after its interval, and by another if one dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from django.conf import settings as of_tests
from django.core.management import CommandError, call_command, get_commands
from django.db import DatabaseError, connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from accounts.models import User
from ai import providers
from billing.models import ListedModel
from config import worker
from config.admin import state
from config.jobs import JOBS, LEASE, next_due
from config.models import Job
from config.worker import Worker, finish, lease, perform, register, renew
from tests.ai.conftest import simulator, simulator_process

__all__ = ["simulator", "simulator_process"]

PATIENCE_SECONDS = 90
LONG = timedelta(seconds=1)


@pytest.fixture
def jobs(db, now):
    register(now=now)


def test_every_job_is_a_command_and_has_an_interval(one_database):
    assert JOBS.keys() <= get_commands().keys()
    assert all(every >= timedelta(minutes=1) for every in JOBS.values())


def test_each_job_is_leased_once_the_longest_due_first(jobs, now):
    Job.objects.filter(name="seal_ledger").update(due_at=now - timedelta(hours=1))

    leased = [job.name if (job := lease(f"w{number}", now=now)) else None for number in range(len(JOBS) + 1)]

    assert leased == ["seal_ledger", *sorted(JOBS.keys() - {"seal_ledger"}), None]


def test_registering_again_leaves_what_is_known(jobs, now):
    Job.objects.filter(name="seal_ledger").update(due_at=now + timedelta(hours=1))
    register(now=now)
    assert Job.objects.get(name="seal_ledger").due_at == now + timedelta(hours=1)


def test_what_is_not_due_is_not_leased(jobs, now):
    assert lease("early", now=now - timedelta(microseconds=1)) is None


def test_job_of_a_worker_that_died_is_begun_by_another_and_its_own_end_counts_no_more(jobs, now):
    dead = lease("dead", now=now)
    Job.objects.exclude(pk=dead.pk).update(due_at=now + timedelta(days=1))

    too_early = lease("other", now=now + LEASE - LONG)
    other = lease("other", now=now + LEASE)

    assert (too_early, other.pk) == (None, dead.pk)
    assert not renew(dead, now=now + LEASE)
    assert not finish(dead, "from the grave", succeeded=True, now=now + LEASE)
    assert finish(other, "done", succeeded=True, now=now + LEASE + LONG)
    job = Job.objects.get(pk=other.pk)
    assert (job.outcome, job.leased_by, job.leased_until) == ("done", "", None)
    assert job.due_at == now + LEASE + LONG + JOBS[job.pk]


def test_lease_that_is_renewed_stays(jobs, now):
    job = lease("slow", now=now)
    Job.objects.exclude(pk=job.pk).update(due_at=now + timedelta(days=1))

    assert renew(job, now=now + LEASE - LONG)
    assert lease("other", now=now + LEASE + LONG) is None


def test_job_that_fails_is_tried_again_later_and_later_up_to_its_interval(one_database, now):
    waits = [next_due("refresh_catalogue", failures=failures, now=now) - now for failures in (0, 1, 2, 3, 7, 99)]
    assert waits == [timedelta(minutes=minutes) for minutes in (60, 1, 2, 4, 60, 60)]


def test_failure_is_counted_until_it_succeeds(jobs, now):
    for number in range(2):
        Job.objects.exclude(name="expire_credits").update(due_at=now + timedelta(days=9))
        job = lease("w", now=now + number * timedelta(hours=1))
        assert finish(job, "no", succeeded=False, now=now + number * timedelta(hours=1))
    assert Job.objects.get(pk="expire_credits").failures == 2

    finish(lease("w", now=now + timedelta(hours=3)), "yes", succeeded=True, now=now + timedelta(hours=3))

    job = Job.objects.get(pk="expire_credits")
    assert (job.failures, job.succeeded_at) == (0, now + timedelta(hours=3))


def test_what_a_command_says_at_its_end_is_its_outcome(jobs):
    assert perform("expire_credits") == (True, "0 entries in 0 accounts, 0 holds given back.")


@pytest.mark.parametrize(
    ("error", "outcome"), [(CommandError("not now"), "not now"), (KeyError("k"), "KeyError: the log says more.")]
)
def test_command_that_fails_does_not_take_the_worker_along(jobs, monkeypatch, error, outcome):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(worker, "call_command", fail)

    assert Worker(threading.Event()).turn()
    assert Job.objects.get(failures=1).outcome == outcome


def test_database_that_is_away_is_waited_for(one_database, monkeypatch):
    stop, tries = threading.Event(), []

    def away(**options):
        tries.append(options)
        if len(tries) == 3:
            stop.set()
        raise DatabaseError("away")

    monkeypatch.setattr(worker, "register", away)
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0)

    Worker(stop).run()

    assert len(tries) == 3


@pytest.mark.django_db(transaction=True)
def test_workers_that_race_begin_no_job_twice(now):
    register(now=now)
    begun, ready = [], threading.Barrier(6)

    def race(name):
        try:
            ready.wait()
            while job := lease(name, now=now):
                begun.append(job.name)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=race, args=[f"w{number}"]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(begun) == sorted(JOBS)


@pytest.mark.django_db(transaction=True)
def test_lease_is_renewed_while_a_job_is_done(now, monkeypatch):
    register(now=now)
    monkeypatch.setattr(worker, "LEASE", timedelta(milliseconds=150))
    job = lease("slow", now=now)
    first = job.leased_until

    with worker.kept(job):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while Job.objects.get(pk=job.pk).leased_until == first:
            assert time.monotonic() < deadline, "it is not renewed"
            time.sleep(0.02)


@pytest.mark.django_db
def test_once_does_what_is_due_and_ends(simulator, settings):
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_API_KEY = simulator.url, "sk"
    providers.current.cache_clear()
    try:
        call_command("worker", "--once")
    finally:
        providers.current.cache_clear()

    assert Job.objects.exclude(succeeded_at=None).count() == len(JOBS)
    assert ListedModel.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_worker_process_does_everything_and_ends_when_it_is_told(simulator, database_url):
    environment = {
        **{name: os.environ[name] for name in ("PATH", "SECRET_KEY", "API_KEY_PEPPER")},
        "PREPAID_ENV_FILE": os.devnull,
        "DATABASE_URL": database_url,
        "OPENROUTER_BASE_URL": simulator.url,
        "OPENROUTER_API_KEY": "simulated",
    }
    process = subprocess.Popen([sys.executable, "manage.py", "worker"], cwd=of_tests.BASE_DIR, env=environment)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while Job.objects.exclude(succeeded_at=None).count() < len(JOBS):
            assert process.poll() is None, "the worker does not run"
            assert time.monotonic() < deadline, list(Job.objects.values_list("name", "outcome"))
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()

    assert set(Job.objects.values_list("leased_by", "failures")) == {("", 0)}
    assert ListedModel.objects.exists()


def test_admin_says_what_each_job_does(jobs, now):
    Job.objects.create(name="of another version")
    Job.objects.filter(name="seal_ledger").update(failures=1)
    Job.objects.filter(name="refresh_catalogue").update(due_at=now - timedelta(hours=1))
    Job.objects.filter(name="expire_credits").update(leased_until=timezone.now() + LEASE)

    assert {job.name: strip_tags(state(job)) for job in Job.objects.all()} == {
        "expire_credits": "running",
        "of another version": "gone",
        "prune_idempotency": "waiting",
        "refresh_catalogue": "late",
        "resolve_holds": "waiting",
        "seal_ledger": "failed",
    }


def test_overview_alarms_when_jobs_fail_again_and_again_or_nobody_begins_them(jobs, now):
    Job.objects.filter(name="seal_ledger").update(failures=3)
    Job.objects.filter(name="resolve_holds").update(failures=2)
    Job.objects.filter(name="refresh_catalogue").update(due_at=now - timedelta(hours=1))
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com"))

    figures = {each.title: each for each in client.get(reverse("admin:index")).context["figures"]}

    jobs_figure = figures["Jobs neglected"]
    assert (jobs_figure.value, jobs_figure.note, jobs_figure.alarm) == ("2", "they fail, or wait for a worker", True)
