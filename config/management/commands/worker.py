import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from config.jobs import JOBS
from config.worker import Worker, register


class Command(BaseCommand):
    help = (
        "Do what is due again and again: "
        + ", ".join(JOBS)
        + ". Run as many as you like; each job is done by one at a time. Safe to kill."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Do what is due now, and end.")

    def handle(self, *, once: bool, **options: Any) -> None:
        stop = threading.Event()
        worker = Worker(stop)
        if once:
            register(now=timezone.now())
            while worker.turn():
                pass
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write(f"Worker {worker.name} does {', '.join(JOBS)}.")
        worker.run()
        self.stdout.write("Stopped.")
