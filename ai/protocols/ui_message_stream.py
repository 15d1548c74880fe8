"""
The first original's chat: ``useChat`` of the Vercel AI SDK, versions 5 to 7, and what older front ends read.

Clients before 5.0.217 and 6.0.235 check every part strictly, so only the keys of 5.0.0 are
sent; the cost, the tokens and the remaining credits travel in ``messageMetadata``.
"""

import re
from typing import Any, Literal

import orjson
from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field, field_validator

from accounts.errors import PrepaidError
from ai.errors import ProviderBrokeOff
from ai.http import EVENT_STREAM, NOT_CACHED, Headers, invalid
from ai.protocols import errors
from ai.protocols.base import Protocol, Translator, Wanted
from ai.protocols.bodies import Body, validated
from ai.protocols.deltas import Deltas, File, Piece, Source, ToolDelta, Words
from ai.protocols.fields import with_usage
from ai.protocols.older_streams import DataTranslator, TextTranslator
from billing.calls import Receipt
from billing.catalogue import Feature

DEFAULT_TEMPERATURE = 0.4
MOST_MESSAGES = 500
MOST_PARTS = 200
FORMATS = re.compile(rb"(?:^|&)protocol=([^&]*)")


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
    parts: list[Part] | None = Field(None, max_length=MOST_PARTS)
    #: All that clients of version 4 say.
    content: str | None = None


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
        for index, posted in enumerate(body.messages):
            if posted.parts is None and posted.content is None:
                hint = "A message has parts, or, from clients of version 4, content."
                raise invalid(f"body.messages[{index}].parts", hint, "MISSING")
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

    def chosen_by(self, accept: str, query: bytes) -> Protocol:
        """``?protocol=`` chooses the format, else an ``Accept`` of plain text the one without parts."""
        named = FORMATS.search(query)
        if named is None:
            return TEXT_STREAM if "text/plain" in accept and "text/event-stream" not in accept else self
        formats: dict[bytes, Protocol] = {b"ui": self, b"text": TEXT_STREAM, b"data": DATA_STREAM}
        if named[1] not in formats:
            raise invalid("query.protocol", "Choose one of ui, text and data.", "INVALID_CHOICE")
        return formats[named[1]]

    def translator(self, wanted: Wanted, request_id: str) -> Translator:
        return UITranslator(request_id)

    def error(self, error: PrepaidError, request_id: str) -> bytes:
        return errors.flat(error, request_id)


class TextStream(UIMessageStream):
    """The text alone, for ``TextStreamChatTransport``: it has no place for reasoning, files, cost or errors."""

    stream_headers: Headers = [(b"content-type", b"text/plain; charset=utf-8"), *NOT_CACHED]

    def translator(self, wanted: Wanted, request_id: str) -> Translator:
        return TextTranslator()


class DataStream(UIMessageStream):
    """The data stream of version 4 of the AI SDK."""

    stream_headers: Headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-vercel-ai-data-stream", b"v1"),
        *NOT_CACHED,
    ]

    def translator(self, wanted: Wanted, request_id: str) -> Translator:
        return DataTranslator(request_id)


TEXT_STREAM, DATA_STREAM = TextStream(), DataStream()


class UITranslator(Translator):
    """
    OpenAI's chunks in, UI message parts out.

    A text or reasoning part is opened when its first delta comes and closed when anything else
    begins, because the client refuses a delta without its start.
    """

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._deltas = Deltas()
        self._open: str | None = None
        self._parts = 0
        self._sources = 0
        self._started = False
        self._told_failure = False

    def feed(self, chunk: bytes) -> bytes:
        out = [] if self._started else [_part(type="start"), _part(type="start-step")]
        self._started = True
        for piece in self._deltas.feed(chunk):
            out += self._translate(piece)
        if self._deltas.failed and not self._told_failure:
            out += self._break_off(ProviderBrokeOff())
        return b"".join(out)

    def finish(self, receipt: Receipt | None) -> bytes:
        if self._told_failure:
            return b"data: [DONE]\n\n"
        start = b"" if self._started else self.feed(b"")
        return start + b"".join(
            [
                *self._close(),
                *(
                    _part(type="tool-input-available", toolCallId=call.id, toolName=call.name, input=call.input)
                    for call in self._deltas.tools.values()
                ),
                _part(type="finish-step"),
                _part(type="finish", messageMetadata=self._deltas.metadata(self._request_id, receipt)),
                b"data: [DONE]\n\n",
            ]
        )

    def fail(self, error: PrepaidError) -> bytes:
        start = b"" if self._started else self.feed(b"")
        return start + b"".join([*self._break_off(error), b"data: [DONE]\n\n"])

    def _break_off(self, error: PrepaidError) -> list[bytes]:
        self._told_failure = self._deltas.failed = True
        return [*self._close(), _part(type="error", errorText=error.message)]

    def _translate(self, piece: Piece) -> list[bytes]:
        match piece:
            case Words(kind, text):
                return [*self._switch_to(kind), _part(type=f"{kind}-delta", id=str(self._parts), delta=text)]
            case File(url, media_type):
                return [*self._close(), _part(type="file", url=url, mediaType=media_type)]
            case Source(url, title):
                self._sources += 1
                titled = {"title": title} if title else {}
                return [*self._close(), _part(type="source-url", sourceId=str(self._sources), url=url, **titled)]
            case ToolDelta(call, text, is_first):
                begun = _part(type="tool-input-start", toolCallId=call.id, toolName=call.name)
                more = _part(type="tool-input-delta", toolCallId=call.id, inputTextDelta=text)
                return [*self._close(), *([begun] if is_first else []), *([more] if text else [])]

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
    content = [block for part in message.parts or () if (block := _content(part)) is not None]
    if not content:
        return {"role": message.role, "content": message.content} if message.content else None
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
