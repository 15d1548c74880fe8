"""OpenRouter: the relay on aiohttp, typed calls through the ``openai`` SDK, records and catalogue through requests."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from io import BytesIO
from typing import Any

import aiohttp
import httpx2
import openai
import requests
from yarl import URL

from ai import errors
from ai.providers import upstreams
from ai.providers.base import (
    Answer,
    Generation,
    Images,
    Provider,
    Usage,
    parse_exact,
    read_answer,
    read_cost,
    read_count,
    read_text,
    read_usage,
)

TITLE = "Prepaid"
KEEPALIVE_SECONDS = 30
MAX_REFUSAL_BYTES = 64 * 1024
MAX_IMAGES_BYTES = 64 * 1024 * 1024
LARGE_BODY = 512 * 1024
GENERATION_ID = "X-Generation-Id"
HEADER_TEXT = re.compile(r"[\x21-\x7e]{1,255}")


class OpenRouter(Provider):
    """
    OpenRouter, or whatever speaks its interface at ``base_url``.

    Timeouts are seconds: to connect, between two bytes, and for the whole call.
    ``public_url`` is how OpenRouter attributes the traffic. No header of a client ever reaches
    it, no redirect is followed, no cookie kept, and proxies of the environment are not used.
    """

    name = "openrouter"

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        public_url: str,
        connect_timeout: float,
        idle_timeout: float,
        total_timeout: float,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout = aiohttp.ClientTimeout(total=total_timeout, connect=connect_timeout, sock_read=idle_timeout)
        self._attribution = {"HTTP-Referer": public_url, "X-OpenRouter-Title": TITLE}
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Accept-Encoding": "identity",  # what arrives is relayed as it is
            "User-Agent": TITLE,
            **self._attribution,
        }
        self._urls: dict[str, URL] = {}
        self._session: aiohttp.ClientSession | None = None
        self._sdk: openai.AsyncOpenAI | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
            headers=self._headers,
            timeout=self._timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        timeout = openai.Timeout(self._timeout.sock_read, connect=self._timeout.connect)
        self._sdk = openai.AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._api_key or "missing",
            max_retries=0,
            timeout=timeout,
            default_headers={"Accept-Encoding": "identity", "User-Agent": TITLE, **self._attribution},
            http_client=openai.DefaultAioHttpClient(timeout=timeout, follow_redirects=False, trust_env=False),
        )
        # The SDK takes these from the environment, where they may belong to another program.
        self._sdk.organization = self._sdk.project = None

    async def close(self) -> None:
        session, sdk, self._session, self._sdk = self._session, self._sdk, None, None
        if session:
            await session.close()
        if sdk:
            await sdk.close()

    async def open(self, path: str, body: bytes) -> Answer:
        if not self._session:
            raise RuntimeError("The provider is not started.")
        self._check_key()
        url = self._urls.get(path) or self._urls.setdefault(path, URL(f"{self._base_url}/{path}"))
        # aiohttp warns of large bodies given as bytes, for it writes them in one piece.
        data = body if len(body) < LARGE_BODY else BytesIO(body)
        try:
            response = await self._session.post(url, data=data, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translated(error) from error
        answer = OpenRouterAnswer(response)
        if response.status != 200:
            raise await _refusal(answer, response)
        return answer

    async def images(
        self,
        *,
        model: str,
        prompt: str,
        references: Sequence[str] = (),
        modalities: Sequence[str] = ("image", "text"),
        aspect_ratio: str = "",
        user: str = "",
    ) -> Images:
        if not self._sdk:
            raise RuntimeError("The provider is not started.")
        self._check_key()
        try:
            async with (
                asyncio.timeout(self._timeout.total),
                self._sdk.chat.completions.with_streaming_response.create(
                    model=model,
                    messages=[{"role": "user", "content": _content(prompt, references)}],
                    user=user or openai.omit,
                    extra_body={"modalities": list(modalities), **_shaped(aspect_ratio)},
                ) as response,
            ):
                body = bytearray()
                async for part in response.iter_bytes():
                    body += part
                    if len(body) > MAX_IMAGES_BYTES:
                        raise errors.ProviderGarbled("The model provider sent an answer that is too long.")
                return images_of(bytes(body), _header(response.headers, GENERATION_ID))
        except openai.APIStatusError as error:
            body_of_error = {"error": error.body} if isinstance(error.body, Mapping) else {}
            refusal = errors.refusal(error.status_code, message_of(body_of_error), error.response.headers)
            refusal.generation_id = _header(error.response.headers, GENERATION_ID)
            raise refusal from error
        except (openai.APIConnectionError, httpx2.HTTPError, TimeoutError) as error:
            raise _translated(_root(error)) from error

    def bills_whole(self, upstream: str) -> bool:
        return upstreams.bills_whole(upstream)

    def generation(self, generation_id: str) -> Generation | None:
        try:
            record = self._get("generation", {"id": generation_id}).get("data")
        except errors.ProviderRefused as refused:
            if refused.status == 404:
                return None
            raise
        if not isinstance(record, Mapping) or record.get("id") != generation_id:
            raise errors.ProviderGarbled()
        cost, cost_report = read_cost(record.get("total_cost"))
        return Generation(
            id=generation_id,
            usage=Usage(
                cost=cost,
                cost_report=cost_report,
                prompt_tokens=read_count(record.get("native_tokens_prompt")),
                completion_tokens=read_count(record.get("native_tokens_completion")),
                cached_tokens=read_count(record.get("native_tokens_cached")),
                reasoning_tokens=read_count(record.get("native_tokens_reasoning")),
                model=read_text(record.get("model")),
            ),
            cancelled=record.get("cancelled") is True,
            finish_reason=read_text(record.get("finish_reason")),
        )

    def models(self, **filters: str) -> list[dict[str, Any]]:
        found = self._get("models", filters).get("data")
        if not isinstance(found, list) or not all(isinstance(model, dict) for model in found):
            raise errors.ProviderGarbled()
        return found

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        self._check_key()
        with requests.Session() as session:
            session.trust_env = False  # a .netrc would replace our Authorization
            try:
                response = session.get(
                    f"{self._base_url}/{path}",
                    params=query,
                    headers={**self._headers, "Accept": "application/json"},
                    timeout=(self._timeout.connect, self._timeout.sock_read),
                    allow_redirects=False,
                )
            except requests.ConnectTimeout as error:
                raise errors.ProviderUnreachable() from error
            except requests.Timeout as error:
                raise errors.ProviderTimeout() from error
            except requests.ConnectionError as error:
                raise errors.ProviderUnreachable() from error
            except requests.RequestException as error:
                raise errors.ProviderBrokeOff() from error
        if response.status_code != 200:
            raise errors.refusal(response.status_code, message_of(parsed(response.content)), response.headers)
        return read_answer(response.content)

    def _check_key(self) -> None:
        if not self._api_key:
            raise errors.ProviderMisconfigured(headers=errors.NO_RETRY)


class OpenRouterAnswer(Answer):
    """An answer that aiohttp has open. At its end the connection goes back to the pool by itself."""

    __slots__ = ("_response", "content_type", "generation_id")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        content_type = response.headers.get("Content-Type", "")
        self.content_type = content_type if content_type.isascii() else "application/octet-stream"
        self.generation_id = _header(response.headers, GENERATION_ID)

    @property
    def has_arrived(self) -> bool:
        return self._response.content.is_eof()

    async def read(self, limit: int) -> bytes:
        chunks, size = [], 0
        while chunk := await self._next():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise errors.ProviderGarbled("The model provider sent an answer that is too long.")
        return b"".join(chunks)

    async def chunks(self) -> AsyncIterator[bytes]:
        while chunk := await self._next():
            yield chunk

    async def _next(self) -> bytes:
        try:
            return await self._response.content.readany()
        except TimeoutError as error:
            raise errors.ProviderTimeout("The model provider went silent inside its answer. Try again.") from error
        except aiohttp.ClientError as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        self._response.close()


async def _refusal(answer: OpenRouterAnswer, response: aiohttp.ClientResponse) -> errors.ProviderError:
    """Close an answer of another status than 200, and return the error that it is."""
    try:
        text = await answer.read(MAX_REFUSAL_BYTES)
    except errors.ProviderError:
        text = b""  # the status alone says enough
    finally:
        await answer.aclose()
    error = errors.refusal(response.status, message_of(parsed(text)), response.headers)
    error.generation_id = answer.generation_id
    return error


def _translated(error: BaseException) -> errors.ProviderError:
    """Return our error for one of aiohttp's."""
    match error:
        case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return errors.ProviderUnreachable()
        case TimeoutError():
            return errors.ProviderTimeout()
        case aiohttp.ClientResponseError():
            return errors.ProviderGarbled()
        case _:
            return errors.ProviderBrokeOff()


def _root(error: BaseException) -> BaseException:
    """Return the error of aiohttp behind the SDK's, which calls a refused connection a timeout."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, aiohttp.ClientError | TimeoutError):
        cause = cause.__cause__
    return cause or error


def _header(headers: Mapping[str, str], name: str) -> str:
    """Return a header that can be stored and passed on; else nothing."""
    value = headers.get(name, "")
    return value if HEADER_TEXT.fullmatch(value) else ""


def parsed(body: bytes) -> Any:
    try:
        return parse_exact(body)
    except ValueError:
        return None


def message_of(body: object) -> str:
    """Return the text of an error, never its metadata: that may hold another provider's raw answer."""
    error = body.get("error") if isinstance(body, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else None
    return message if isinstance(message, str) else ""


def _content(prompt: str, references: Sequence[str]) -> Any:
    if not references:
        return prompt
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in references]
    return [{"type": "text", "text": prompt}, *pictures]


def _shaped(aspect_ratio: str) -> dict[str, Any]:
    return {"image_config": {"aspect_ratio": aspect_ratio}} if aspect_ratio else {}


def images_of(body: bytes, generation_id: str) -> Images:
    answer = read_answer(body)
    generation_id = generation_id or read_text(answer.get("id"), 255)
    failure = answer.get("error")
    if failure:
        code = failure.get("code") if isinstance(failure, Mapping) else None
        error = errors.refusal(code if isinstance(code, int) else 502, message_of(answer))
        error.generation_id = generation_id
        error.maybe_billed = True  # it had begun
        raise error
    choices = answer.get("choices")
    message = (
        choices[0].get("message") if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    )
    found = message.get("images") if isinstance(message, Mapping) else None
    urls = [_image_url(image) for image in found] if isinstance(found, list) else []
    return Images([url for url in urls if url], read_usage(answer), generation_id)


def _image_url(image: object) -> str:
    part = image.get("image_url") if isinstance(image, Mapping) else None
    url = part.get("url") if isinstance(part, Mapping) else None
    return url if isinstance(url, str) and url.startswith(("data:image/", "https://")) else ""
