"""OpenRouter passes the conformance tests, and sends what it is meant to send."""

import asyncio
from typing import Any

import pytest
from django.test import override_settings

from ai import providers
from ai.providers.base import Provider
from ai.providers.openrouter import OpenRouter
from tests.ai.providers.conformance import ProviderConformance


class TestOpenRouter(ProviderConformance):
    def make(
        self, url: str, *, api_key: str = "sk-operator", idle_timeout: float = 5, total_timeout: float = 10
    ) -> Provider:
        return OpenRouter(
            base_url=url,
            api_key=api_key,
            public_url="https://prepaid.example",
            connect_timeout=2,
            idle_timeout=idle_timeout,
            total_timeout=total_timeout,
        )

    def test_relay_sends_these_headers_and_no_other(self, provider, simulator):
        body = self.body()

        self.fetch(provider)

        [request] = simulator.requests()
        assert dict(request["headers"]) == {
            "host": simulator.origin.removeprefix("http://"),
            "authorization": "Bearer sk-operator",
            "content-type": "application/json",
            "content-length": str(len(body)),
            "accept": "application/json, text/event-stream",
            "accept-encoding": "identity",
            "user-agent": "Prepaid",
            "http-referer": "https://prepaid.example",
            "x-openrouter-title": "Prepaid",
        }
        assert len(request["headers"]) == 9

    def test_cookies_of_the_provider_are_not_sent_back(self, simulator):
        provider = self.make(simulator.url.replace("127.0.0.1", "localhost"))  # cookies belong to names

        async def twice() -> None:
            await provider.start()
            try:
                for _ in range(2):
                    answer = await provider.open(self.path, self.body())
                    await answer.read(100_000)
                    await answer.aclose()
            finally:
                await provider.close()

        asyncio.run(twice())

        assert [name for request in simulator.requests() for name, _ in request["headers"] if name == "cookie"] == []

    def test_netrc_does_not_replace_the_key(self, provider, simulator, tmp_path, monkeypatch):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login someone password else\n")
        monkeypatch.setenv("NETRC", str(netrc))

        provider.models()

        assert dict(simulator.requests()[0]["headers"])["authorization"] == "Bearer sk-operator"

    @pytest.mark.parametrize("name", ["OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
    def test_environment_of_the_sdk_does_not_reach_the_provider(self, provider, simulator, monkeypatch, name):
        monkeypatch.setenv(name, "of-another-program")

        self.images(provider)

        assert "of-another-program" not in str(simulator.requests()[0]["headers"])


def test_current_provider_is_made_from_the_settings_and_kept(simulator: Any) -> None:
    providers.current.cache_clear()
    try:
        with override_settings(OPENROUTER_BASE_URL=simulator.url, OPENROUTER_API_KEY="sk-of-the-settings"):
            provider = providers.current()
            provider.models()
        assert providers.current() is provider
    finally:
        providers.current.cache_clear()
    assert dict(simulator.requests()[0]["headers"])["authorization"] == "Bearer sk-of-the-settings"
