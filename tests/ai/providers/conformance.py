"""What every provider must do. Its tests inherit ``ProviderConformance`` and say how to make one."""

import asyncio
import gc
import json
import socket
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from ai import errors
from ai.providers.base import CostReport, Provider, parse_exact, read_answer, read_usage
from tests.simulator import RunningSimulator

MODEL = "openai/gpt-4o-mini"
IMAGE_MODEL = "openai/gpt-5-image-mini"
QUESTION = "What is a ledger?"
LIMIT = 1024 * 1024


@dataclass
class Fetched:
    """What came of one call: the bytes until its end, and the error at its end."""

    chunks: list[bytes] = field(default_factory=list)
    generation_id: str = ""
    content_type: str = ""
    error: errors.ProviderError | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self.body.replace(b"\r\n", b"\n").split(b"\n")
        return [parse_exact(line[6:]) for line in lines if line.startswith(b"data: {")]

    @property
    def text(self) -> str:
        return "".join(choice["delta"]["content"] for event in self.events for choice in event["choices"])


class ProviderConformance:
    """Tests that hold for a provider of any kind, played on a simulator of it."""

    def make(
        self, url: str, *, api_key: str = "sk-operator", idle_timeout: float = 5, total_timeout: float = 10
    ) -> Provider:
        raise NotImplementedError

    def body(self, *, stream: bool = False, **more: Any) -> bytes:
        """A request for an answer to ``QUESTION``."""
        messages = [{"role": "user", "content": QUESTION}]
        return json.dumps({"model": MODEL, "messages": messages, "stream": stream, **more}).encode()

    path = "chat/completions"

    @pytest.fixture(autouse=True)
    def _no_leaks(self) -> Iterator[None]:
        """Let what was left open warn within its own test."""
        yield
        gc.collect()

    @pytest.fixture
    def provider(self, simulator: RunningSimulator) -> Provider:
        return self.make(simulator.url)

    def fetch(self, provider: Provider, *, hang_up_after: int | None = None, **request: Any) -> Fetched:
        """Call once on a loop of its own, and read to the end or hang up after some chunks."""
        fetched = Fetched()

        async def call() -> None:
            await provider.start()
            try:
                async with aclosing(await provider.open(self.path, self.body(**request))) as answer:
                    fetched.generation_id, fetched.content_type = answer.generation_id, answer.content_type
                    async for chunk in answer.chunks():
                        fetched.chunks.append(chunk)
                        if hang_up_after is not None and len(fetched.chunks) >= hang_up_after:
                            break
            except errors.ProviderError as error:
                fetched.error = error
            finally:
                await provider.close()

        asyncio.run(call(), debug=True)  # so that aiohttp warns of what is left open
        return fetched

    def images(self, provider: Provider, **options: Any) -> Any:
        async def call() -> Any:
            await provider.start()
            try:
                return await provider.images(**{"model": IMAGE_MODEL, "prompt": "A green square", **options})
            finally:
                await provider.close()

        return asyncio.run(call())

    # Answers

    def test_answer_arrives_whole_with_its_generation_id(self, provider, simulator):
        fetched = self.fetch(provider)

        [entry] = simulator.books()
        answer = read_answer(fetched.body)
        assert fetched.error is None
        assert fetched.content_type == "application/json"
        assert fetched.generation_id == answer["id"] == entry["id"]
        assert QUESTION in answer["choices"][0]["message"]["content"]

    def test_stream_arrives_with_its_generation_id_and_its_end(self, provider, simulator):
        fetched = self.fetch(provider, stream=True)

        [entry] = simulator.books()
        assert fetched.content_type == "text/event-stream"
        assert fetched.generation_id == entry["id"]
        assert QUESTION in fetched.text
        assert fetched.body.endswith(b"data: [DONE]\n\n")

    def test_stream_arrives_as_it_is_written(self, provider, simulator):
        simulator.faults(interval_ms=10, chunks=5)

        fetched = self.fetch(provider, stream=True)

        assert len(fetched.chunks) >= 5

    @pytest.mark.parametrize("stream", [False, True])
    def test_usage_is_what_the_provider_booked(self, provider, simulator, stream):
        fetched = self.fetch(provider, stream=stream)

        [entry] = simulator.books()
        usage = read_usage(fetched.events[-1] if stream else read_answer(fetched.body))
        assert usage is not None
        assert usage.cost_report == CostReport.REPORTED
        assert usage.cost == Decimal(entry["cost"])
        assert usage.model == entry["model"]
        assert (usage.prompt_tokens, usage.completion_tokens) == (entry["prompt_tokens"], entry["completion_tokens"])

    def test_answer_without_a_generation_id_is_an_answer(self, provider, simulator):
        simulator.faults(no_id=1)

        fetched = self.fetch(provider)

        assert fetched.error is None
        assert fetched.generation_id == ""

    def test_body_of_many_megabytes_is_sent(self, provider, simulator):
        messages = [{"role": "user", "content": "x" * 3_000_000}]

        fetched = self.fetch(provider, messages=messages)

        assert fetched.error is None
        assert simulator.requests()[0]["body"]["messages"] == messages

    def test_answer_that_is_too_long_is_refused(self, provider, simulator):
        async def call() -> None:
            await provider.start()
            try:
                async with aclosing(await provider.open(self.path, self.body())) as answer:
                    await answer.read(100)
            finally:
                await provider.close()

        with pytest.raises(errors.ProviderGarbled):
            asyncio.run(call())

    def test_connection_is_used_again_after_an_answer_and_after_a_refusal(self, provider, simulator):
        simulator.faults(times=1, status=500)

        async def call() -> None:
            await provider.start()
            try:
                with pytest.raises(errors.ProviderError):
                    await provider.open(self.path, self.body())
                for _ in range(2):
                    async with aclosing(await provider.open(self.path, self.body())) as answer:
                        await answer.read(LIMIT)
            finally:
                await provider.close()

        asyncio.run(call())

        assert len({request["client"] for request in simulator.requests()}) == 1

    # Refusals

    @pytest.mark.parametrize(
        ("upstream", "error_class", "status"),
        [
            (400, errors.ProviderRefused, 400),
            (401, errors.ProviderMisconfigured, 503),
            (402, errors.ProviderUnfunded, 503),
            (403, errors.ProviderMisconfigured, 503),
            (404, errors.ProviderRefused, 404),
            (408, errors.ProviderTimeout, 504),
            (413, errors.ProviderRefused, 413),
            (422, errors.ProviderRefused, 422),
            (429, errors.ProviderBusy, 503),
            (500, errors.ProviderError, 502),
            (502, errors.ProviderError, 502),
            (503, errors.ProviderBusy, 503),
            (504, errors.ProviderTimeout, 504),
            (524, errors.ProviderTimeout, 504),
            (529, errors.ProviderBusy, 503),
            (302, errors.ProviderError, 502),
            (418, errors.ProviderError, 502),
        ],
    )
    def test_refusal_of_the_provider_becomes_ours(self, provider, simulator, upstream, error_class, status):
        simulator.faults(status=upstream)

        fetched = self.fetch(provider)

        assert type(fetched.error) is error_class
        assert fetched.error.status == status
        assert len(simulator.requests()) == 1
        assert "You were not charged." in fetched.error.message
        assert simulator.books() == []

    def test_text_of_the_provider_is_passed_on_where_the_request_is_at_fault(self, provider, simulator):
        simulator.faults(status=400, message="max_tokens:\r\n too \x00 large \u202e" + "!" * 2000)

        fetched = self.fetch(provider)

        assert fetched.error is not None
        assert fetched.error.message.startswith("max_tokens: too large !!!")
        assert fetched.error.message.endswith("… (You were not charged.)")
        assert len(fetched.error.message) < 600

    def test_refusal_of_great_length_is_a_refusal_without_its_text(self, provider, simulator):
        simulator.faults(status=400, message="x" * 200_000)

        fetched = self.fetch(provider)

        assert type(fetched.error) is errors.ProviderRefused
        assert fetched.error.message == errors.ProviderRefused.message

    @pytest.mark.parametrize("upstream", [401, 402, 403, 429, 500])
    def test_text_of_the_provider_is_kept_where_it_speaks_of_the_operator(self, provider, simulator, upstream):
        simulator.faults(status=upstream, message="Key sk-or-v1-secret of acme@example.com has a limit of $12")

        fetched = self.fetch(provider)

        assert fetched.error is not None
        assert "acme" not in fetched.error.message
        assert "sk-or" not in fetched.error.message

    @pytest.mark.parametrize(("given", "passed_on"), [(7, "7"), (0, "1"), (86_400, "300")])
    def test_retry_after_is_passed_on_within_bounds(self, provider, simulator, given, passed_on):
        simulator.faults(status=429, retry_after=given)

        fetched = self.fetch(provider)

        assert fetched.error is not None
        assert fetched.error.headers == {"Retry-After": passed_on}

    def test_missing_key_is_the_operators_fault_and_calls_nobody(self, simulator):
        fetched = self.fetch(self.make(simulator.url, api_key=""))

        assert type(fetched.error) is errors.ProviderMisconfigured
        assert simulator.requests() == []

    # Broken connections

    def test_refused_connection_is_unreachable(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            closed = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"

        fetched = self.fetch(self.make(closed))

        assert type(fetched.error) is errors.ProviderUnreachable
        assert not fetched.error.maybe_billed

    @pytest.mark.parametrize("stream", [False, True])
    def test_silence_before_the_headers_times_out(self, simulator, stream):
        simulator.faults(stall="headers")

        fetched = self.fetch(self.make(simulator.url, idle_timeout=0.2), stream=stream)

        assert type(fetched.error) is errors.ProviderTimeout
        assert fetched.error.maybe_billed

    @pytest.mark.parametrize(("stream", "position"), [(False, 0), (False, 1), (True, 0), (True, 3)])
    def test_silence_inside_the_answer_times_out(self, simulator, stream, position):
        simulator.faults(stall=position)

        fetched = self.fetch(self.make(simulator.url, idle_timeout=0.2), stream=stream)

        assert type(fetched.error) is errors.ProviderTimeout
        assert fetched.generation_id == simulator.ended_books()[0]["id"]

    def test_answer_that_takes_too_long_in_all_times_out(self, simulator):
        simulator.faults(interval_ms=50, chunks=100)

        fetched = self.fetch(self.make(simulator.url, total_timeout=0.3), stream=True)

        assert type(fetched.error) is errors.ProviderTimeout
        assert fetched.chunks

    @pytest.mark.parametrize(("stream", "position"), [(False, "headers"), (False, 1), (True, 0), (True, 3)])
    def test_reset_connection_is_an_answer_broken_off(self, provider, simulator, stream, position):
        simulator.faults(reset=position)

        fetched = self.fetch(provider, stream=stream)

        assert type(fetched.error) is errors.ProviderBrokeOff
        assert fetched.error.maybe_billed

    @pytest.mark.parametrize("size", [1, 30, 400])
    def test_reset_after_any_byte_keeps_the_bytes_before_it(self, provider, simulator, size):
        simulator.faults(reset_bytes=size)

        fetched = self.fetch(provider, stream=True)

        assert type(fetched.error) is errors.ProviderBrokeOff
        assert len(fetched.body) == size

    def test_truncated_stream_ends_without_usage(self, provider, simulator):
        simulator.faults(truncate=3)

        fetched = self.fetch(provider, stream=True)

        assert fetched.error is None
        assert b"[DONE]" not in fetched.body
        assert [read_usage(event) for event in fetched.events] == [None] * 3

    @pytest.mark.parametrize("fault", [{"truncate": 1}, {"truncate": 0}, {"garbage": 1}])
    def test_what_is_no_answer_is_garbled(self, provider, simulator, fault):
        simulator.faults(**fault)

        fetched = self.fetch(provider)

        with pytest.raises(errors.ProviderGarbled):
            read_answer(fetched.body)

    @pytest.mark.parametrize("fault", [{"drip_ms": 0}, {"split": 1}, {"crlf": 1}])
    def test_stream_cut_anywhere_says_the_same(self, provider, simulator, fault):
        plain = self.fetch(provider, stream=True)
        simulator.faults(chunks=len(plain.text.split()), **fault)

        cut = self.fetch(provider, stream=True)

        assert cut.text == plain.text
        assert read_usage(cut.events[-1]) == read_usage(plain.events[-1])

    def test_hanging_up_stops_the_provider(self, provider, simulator):
        simulator.faults(interval_ms=20, chunks=200)

        self.fetch(provider, stream=True, hang_up_after=4)

        [entry] = simulator.ended_books()
        assert entry["cancelled"] is True
        assert 0 < entry["completion_tokens"] < 100

    def test_closing_from_another_task_ends_the_reader_and_stops_the_provider(self, provider, simulator):
        simulator.faults(stall=2)

        async def call() -> None:
            await provider.start()
            try:
                answer = await provider.open(self.path, self.body(stream=True))
                reader = asyncio.ensure_future(answer.read(LIMIT))
                await asyncio.sleep(0.1)
                await answer.aclose()
                await answer.aclose()
                with pytest.raises(errors.ProviderBrokeOff):
                    await asyncio.wait_for(reader, 2)
            finally:
                await provider.close()

        asyncio.run(call())

        assert simulator.ended_books()[0]["cancelled"] is True

    # Images

    def test_images_are_real_and_cost_what_was_booked(self, provider, simulator):
        images = self.images(provider, references=["https://example.com/a.png"], user="customer-7")

        [entry] = simulator.books()
        [request] = simulator.requests()
        assert [url[:22] for url in images.urls] == ["data:image/png;base64,"]
        assert images.usage.cost == Decimal(entry["cost"])
        assert images.generation_id == entry["id"]
        assert entry["user"] == "customer-7"
        assert request["body"]["modalities"] == ["image", "text"]
        assert request["body"]["messages"][0]["content"][1]["image_url"]["url"] == "https://example.com/a.png"

    def test_answer_without_an_image_has_none_and_still_a_cost(self, provider, simulator):
        simulator.faults(images=0)

        images = self.images(provider)

        assert images.urls == []
        assert images.usage.cost == Decimal(simulator.books()[0]["cost"])

    @pytest.mark.parametrize(
        ("fault", "error_class"),
        [
            ({"status": 400, "message": "No."}, errors.ProviderRefused),
            ({"status": 402}, errors.ProviderUnfunded),
            ({"status": 429, "retry_after": 3}, errors.ProviderBusy),
            ({"status": 500}, errors.ProviderError),
            ({"stall": "headers"}, errors.ProviderTimeout),
            ({"stall": 1}, errors.ProviderTimeout),
            ({"reset": "headers"}, errors.ProviderBrokeOff),
            ({"reset": 1}, errors.ProviderBrokeOff),
            ({"truncate": 1}, errors.ProviderGarbled),
            ({"garbage": 1}, errors.ProviderGarbled),
            ({"error": 0, "error_code": "429"}, errors.ProviderBusy),
            ({"error": 0, "error_code": "server_error"}, errors.ProviderError),
        ],
    )
    def test_images_fail_as_other_calls_do_and_are_asked_for_once(self, simulator, fault, error_class):
        simulator.faults(**fault)

        with pytest.raises(errors.ProviderError) as caught:
            self.images(self.make(simulator.url, idle_timeout=0.3))

        assert type(caught.value) is error_class
        assert len(simulator.requests()) == 1

    def test_images_of_a_provider_that_is_down_are_unreachable(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            closed = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"

        with pytest.raises(errors.ProviderUnreachable):
            self.images(self.make(closed))

    # Records and catalogue

    def test_record_of_a_generation_has_its_true_cost(self, provider, simulator):
        simulator.faults(usage="none", times=1)
        fetched = self.fetch(provider, stream=True)

        generation = provider.generation(fetched.generation_id)

        [entry] = simulator.books()
        assert generation is not None
        assert generation.id == entry["id"]
        assert generation.model == entry["model"]
        assert generation.usage.cost == Decimal(entry["cost"])
        assert generation.usage.completion_tokens == entry["completion_tokens"]
        assert (generation.cancelled, generation.finish_reason) == (False, "stop")

    def test_record_tells_that_we_hung_up(self, provider, simulator):
        simulator.faults(interval_ms=20, chunks=200)
        fetched = self.fetch(provider, stream=True, hang_up_after=3)
        [entry] = simulator.ended_books()

        generation = provider.generation(fetched.generation_id)

        assert generation is not None
        assert generation.cancelled
        assert generation.usage.cost == Decimal(entry["cost"]) > 0

    def test_record_that_is_not_there_yet_is_none(self, provider, simulator):
        simulator.faults(generation_ms=-1)
        fetched = self.fetch(provider)

        assert provider.generation(fetched.generation_id) is None
        assert provider.generation("gen-of-nobody") is None

    @pytest.mark.parametrize(
        ("fault", "error_class"),
        [
            ({"status": 400}, errors.ProviderRefused),
            ({"status": 401}, errors.ProviderMisconfigured),
            ({"status": 500}, errors.ProviderError),
            ({"stall": "headers"}, errors.ProviderTimeout),
            ({"reset": "headers"}, errors.ProviderUnreachable),
            ({"garbage": 1}, errors.ProviderGarbled),
        ],
    )
    def test_record_that_cannot_be_had_is_an_error_and_not_none(self, simulator, fault, error_class):
        simulator.faults(path="generation", **fault)

        with pytest.raises(errors.ProviderError) as caught:
            self.make(simulator.url, idle_timeout=0.3).generation("gen-1")

        assert type(caught.value) is error_class

    def test_catalogue_lists_text_models_and_on_demand_image_models(self, provider, simulator):
        assert MODEL in [model["id"] for model in provider.models()]
        assert IMAGE_MODEL not in [model["id"] for model in provider.models()]
        assert IMAGE_MODEL in [model["id"] for model in provider.models(output_modalities="image")]
