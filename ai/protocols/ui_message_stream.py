"""
The first original's chat: ``useChat`` of the Vercel AI SDK, versions 5 to 7.

Clients before 5.0.217 and 6.0.235 check every part strictly, so only the keys of 5.0.0 are
sent; the cost, the tokens and the remaining credits travel in ``messageMetadata``.
"""

from collections.abc import Mapping
from typing import Any, Literal

import orjson
from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field, field_validator

from accounts.errors import PrepaidError
from ai.errors import ProviderBrokeOff
from ai.http import EVENT_STREAM, Headers, invalid
from ai.protocols import errors
from ai.protocols.base import Protocol, Translator, Wanted
from ai.protocols.bodies import Body, validated
from ai.protocols.fields import with_usage
from ai.providers.base import Usage, parse_exact, read_usage
from ai.streaming import LineBuffer, error_of, payloads
from billing.admission import CREDITS
from billing.calls import Receipt
from billing.catalogue import Feature
from credits.amounts import number

DEFAULT_TEMPERATURE = 0.4
MOST_MESSAGES = 500
MOST_PARTS = 200


class Part(BaseModel):
    """A part of a UI message. The SDK's own further keys and kinds of part are accepted and left aside."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(max_length=100)
    text: str = ""
    url: str = ""
    media_type: str = Field("", alias="mediaType")
    filename: str | None = None


class UIMessage(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field("", max_length=500)
    role: Literal["system", "user", "assistant"]
    parts: list[Part] = Field(max_length=MOST_PARTS)


class Attachment(Body):
    name: str = Field(min_length=1, max_length=500)
    url: str = Field(min_length=1, max_length=4000)


class ChatBody(Body):
    model: str = Field("", max_length=200, validate_default=True)
    messages: list[UIMessage] = Field(min_length=1, max_length=MOST_MESSAGES)
    temperature: float = Field(DEFAULT_TEMPERATURE, ge=0, le=2)
    attachments: list[Attachment] = Field(default_factory=list, max_length=50)
    provider: Literal["openrouter"] = "openrouter"
    id: str | None = Field(None, max_length=500)
    trigger: str | None = Field(None, max_length=100)
    message_id: str | None = Field(None, alias="messageId", max_length=500)

    @field_validator("model")
    @classmethod
    def is_a_name(cls, model: str) -> str:
        if not model.isprintable():
            raise ValueError("Name a model, such as openai/gpt-4o-mini; GET /api/ai/openrouter/models lists them.")
        return model or settings.DEFAULT_CHAT_MODEL


class UIMessageStream(Protocol):
    stream_headers: Headers = [
        EVENT_STREAM,
        (b"cache-control", b"no-cache"),
        (b"x-vercel-ai-ui-message-stream", b"v1"),
        (b"x-accel-buffering", b"no"),
    ]

    def read(self, payload: dict[str, Any]) -> Wanted:
        body = validated(ChatBody, payload)
        messages = [message for posted in body.messages if (message := _chat_message(posted)) is not None]
        if body.attachments:
            listed = "\n".join(f"- {attachment.name}: {attachment.url}" for attachment in body.attachments)
            messages.append({"role": "user", "content": f"Attachments:\n{listed}"})
        if not messages:
            raise invalid("body.messages", "Send at least one message with a text or a file.", "EMPTY")
        chat = {"model": body.model, "messages": messages, "temperature": body.temperature, "stream": True}
        return Wanted(
            feature=Feature.AI_TEXT_CHAT,
            quantity=1,
            model=body.model,
            streamed=True,
            path="chat/completions",
            payload=with_usage(chat),
        )

    def translator(self, wanted: Wanted, request_id: str) -> Translator:
        return UITranslator(request_id)

    def error(self, error: PrepaidError, request_id: str) -> bytes:
        return errors.flat(error, request_id)


class UITranslator(Translator):
    """
    OpenAI's chunks in, UI message parts out.

    A text or reasoning part is opened when its first delta comes and closed when the other
    kind begins, because the client refuses a delta without its start.
    """

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._lines = LineBuffer()
        self._open: str | None = None
        self._parts = 0
        self._usage: Usage | None = None
        self._started = False
        self._failed = False

    def feed(self, chunk: bytes) -> bytes:
        out = [] if self._started else [_part(type="start"), _part(type="start-step")]
        self._started = True
        for payload in payloads(self._lines.feed(chunk)):
            if payload != b"[DONE]" and not self._failed:
                out += self._translate(payload)
        return b"".join(out)

    def finish(self, receipt: Receipt | None) -> bytes:
        if self._failed:
            return b"data: [DONE]\n\n"
        metadata: dict[str, Any] = {"requestId": self._request_id}
        if self._usage is not None:
            metadata["model"] = self._usage.model
            metadata["usage"] = {
                "promptTokens": self._usage.prompt_tokens,
                "completionTokens": self._usage.completion_tokens,
            }
        if receipt is not None:
            metadata["creditsCharged"] = number(receipt.charged)
            metadata["creditsRemaining"] = number(receipt.available)
            if receipt.currency != CREDITS:
                metadata["currency"] = receipt.currency
        start = b"" if self._started else self.feed(b"")
        return start + b"".join(
            [
                *self._close(),
                _part(type="finish-step"),
                _part(type="finish", messageMetadata=metadata),
                b"data: [DONE]\n\n",
            ]
        )

    def fail(self, error: PrepaidError) -> bytes:
        start = b"" if self._started else self.feed(b"")
        return start + b"".join([*self._break_off(error), b"data: [DONE]\n\n"])

    def _break_off(self, error: PrepaidError) -> list[bytes]:
        self._failed = True
        return [*self._close(), _part(type="error", errorText=error.message)]

    def _translate(self, payload: bytes) -> list[bytes]:
        try:
            event = parse_exact(payload) if b'"usage"' in payload else orjson.loads(payload)
        except ValueError:
            return []
        if not isinstance(event, dict):
            return []
        self._usage = read_usage(event) or self._usage
        if error_of(event) is not None:
            return self._break_off(ProviderBrokeOff())
        out = []
        for choice in _listed(event.get("choices")):
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if isinstance(delta, dict):
                out += self._delta(delta)
        return out

    def _delta(self, delta: Mapping[str, Any]) -> list[bytes]:
        out = []
        for kind, text in (("reasoning", delta.get("reasoning")), ("text", delta.get("content"))):
            if isinstance(text, str) and text:
                out += self._switch_to(kind)
                out.append(_part(type=f"{kind}-delta", id=str(self._parts), delta=text))
        for image in _listed(delta.get("images")):
            url = _image_url(image)
            if url:
                media_type = url[5:].partition(";")[0] if url.startswith("data:") else "image/png"
                out += [*self._close(), _part(type="file", url=url, mediaType=media_type)]
        return out

    def _switch_to(self, kind: str) -> list[bytes]:
        if self._open == kind:
            return []
        closed = self._close()
        self._open = kind
        self._parts += 1
        return [*closed, _part(type=f"{kind}-start", id=str(self._parts))]

    def _close(self) -> list[bytes]:
        kind, self._open = self._open, None
        return [_part(type=f"{kind}-end", id=str(self._parts))] if kind else []


def _part(**fields: Any) -> bytes:
    return b"data: " + orjson.dumps(fields) + b"\n\n"


def _chat_message(message: UIMessage) -> dict[str, Any] | None:
    """A UI message as a chat message; None if nothing in it is for the model."""
    content = [block for part in message.parts if (block := _content(part)) is not None]
    if not content:
        return None
    if all(block["type"] == "text" for block in content):
        return {"role": message.role, "content": "".join(block["text"] for block in content)}
    return {"role": message.role, "content": content}


def _content(part: Part) -> dict[str, Any] | None:
    if part.type == "text" and part.text:
        return {"type": "text", "text": part.text}
    if part.type == "file" and part.url:
        if part.media_type.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": part.url}}
        return {"type": "file", "file": {"filename": part.filename or "file", "file_data": part.url}}
    return None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _image_url(image: Any) -> str:
    holder = image.get("image_url") if isinstance(image, dict) else None
    url = holder.get("url") if isinstance(holder, dict) else None
    return url if isinstance(url, str) else ""
