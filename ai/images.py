"""
The first original's images: ``POST /api/ai/image``.

One call to the provider makes one image, so ``count`` images are ``count`` calls, side by
side under one hold. What does not come back is not charged.
"""

import asyncio
import re
from decimal import Decimal
from typing import Any, Literal, Self

import orjson
from django.conf import settings
from pydantic import Field, field_validator, model_validator

from accounts.authentication import Credential
from accounts.errors import PrepaidError
from accounts.requests import accept_request_id
from ai import moderation, providers
from ai.authentication import authenticate, throttled
from ai.desk import desk, session_of
from ai.errors import ProviderError, ProviderGarbled
from ai.http import JSON, ClientGone, Receive, Scope, Send, encode, headers_of, read_json, respond
from ai.protocols import errors
from ai.protocols.base import Wanted
from ai.protocols.bodies import Body, validated
from ai.providers.base import Images, Usage
from ai.relay import opaque_user
from ai.settlement import Settlement
from billing.admission import CREDITS
from billing.calls import Ending
from billing.catalogue import Feature
from credits.amounts import display, number

DEFAULT_SIZE = "1024x1024"
#: The shapes of sizes that are no squares, as ratios that image models take.
SHAPES = {"1024x1536": "2:3", "1536x1024": "3:2"}
MODEL = re.compile(r"[a-z0-9-]+/[a-z0-9_.:-]+", re.IGNORECASE | re.ASCII)


class Reference(Body):
    url: str = Field(min_length=1, max_length=20_000_000)
    name: str | None = Field(None, max_length=500)


class ImageBody(Body):
    model: str = Field("", max_length=100, validate_default=True)
    prompt: str = Field(min_length=1, max_length=2000)
    size: Literal["256x256", "512x512", "1024x1024", "1024x1536", "1536x1024"] | None = None
    aspect: Literal["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"] | None = Field(
        None, alias="aspectRatio"
    )
    count: int = Field(1, ge=1, le=4)
    attachments: list[Reference] = Field(default_factory=list, max_length=10)

    @field_validator("model")
    @classmethod
    def is_vendor_and_model(cls, model: str) -> str:
        if model and not MODEL.fullmatch(model):
            raise ValueError("Write vendor/model, such as google/gemini-2.5-flash-image-preview.")
        return model or settings.DEFAULT_IMAGE_MODEL

    @model_validator(mode="after")
    def is_of_one_shape(self) -> Self:
        if self.aspect and self.size and SHAPES.get(self.size, "1:1") != self.aspect:
            raise ValueError("size and aspectRatio are of different shapes: send one of them.")
        return self

    @property
    def shape(self) -> str:
        """The ratio of width to height."""
        return self.aspect or SHAPES.get(self.size or DEFAULT_SIZE, "1:1")

    @property
    def instruction(self) -> str:
        """The prompt, with what a model is told in words that knows no other way."""
        if self.size is None and self.aspect is not None:
            return f"{self.prompt}\n\nAspect ratio: {self.aspect}."
        return f"{self.prompt}\n\nSize: {self.size or DEFAULT_SIZE} pixels."


class ImageGeneration:
    """The ASGI endpoint."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        request_id = accept_request_id(headers.get("x-request-id"))
        id_header = (b"x-request-id", request_id.encode())
        try:
            credential = await authenticate(scope)
            wanted = validated(ImageBody, await read_json(headers, receive))
            answer, settlement = await _make(credential, wanted, request_id, session_of(headers))
        except PrepaidError as refusal:
            error = await throttled(refusal, scope)
            await respond(send, error.status, errors.flat(error, request_id), [JSON, id_header, *encode(error.headers)])
        except ClientGone:
            return
        else:
            money = {"X-Credits-Held": display(settlement.call.held), **settlement.call.pace}
            if settlement.call.currency != CREDITS:
                money["X-Credits-Currency"] = settlement.call.currency
            if settlement.receipt is not None:
                money["X-Credits-Charged"] = display(settlement.receipt.charged)
            await respond(send, 200, orjson.dumps(answer), [JSON, id_header, *encode(money)])


async def _make(
    credential: Credential, body: ImageBody, request_id: str, session_id: str | None
) -> tuple[dict[str, Any], Settlement]:
    wanted = Wanted(
        feature=Feature.AI_IMAGE_GENERATION,
        quantity=body.count,
        model=body.model,
        streamed=False,
        path="chat/completions",
        payload={
            "prompt": body.prompt,
            "references": [{"type": "image_url", "url": each.url} for each in body.attachments],
        },
        limit_fields=(),
        calls=body.count,
    )
    call = await desk().admit(
        credential, wanted, provider=providers.current().name, request_id=request_id, session_id=session_id
    )
    provider = providers.of_call(call.provider)
    async with Settlement(call, provider) as settlement:
        await moderation.look_at(wanted.payload)
        made, failures = await _ask(settlement, body, opaque_user(call.customer_id))
        urls = [url for images in made for url in images.urls][: body.count]
        settlement.generation_id = ",".join(images.generation_id for images in made)[:255]
        if not urls:
            error = failures[0] if failures else ProviderGarbled("The model returned no image. You were not charged.")
            await settlement.conclude(Ending.FAILED, _total(made), delivered=0, error_code=error.code)
            raise error
        settlement.mark_first_byte()
        receipt = await settlement.conclude(Ending.COMPLETED, _total(made), delivered=len(urls))
        charged = None if receipt is None else number(receipt.charged)
        return {"images": urls, "credits_used": charged}, settlement


async def _ask(settlement: Settlement, body: ImageBody, user: str) -> tuple[list[Images], list[ProviderError]]:
    references = [attachment.url for attachment in body.attachments]
    asked = [
        settlement.attempts.images(
            model=body.model, prompt=body.instruction, references=references, aspect_ratio=body.shape, user=user
        )
        for _ in range(body.count)
    ]
    made: list[Images] = []
    failures: list[ProviderError] = []
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(outcome, Images):
            made.append(outcome)
        elif isinstance(outcome, ProviderError):
            failures.append(outcome)
        else:
            raise outcome
    return made, failures


def _total(made: list[Images]) -> Usage | None:
    """What all calls used together; None where one of them did not say."""
    parts = [images.usage for images in made]
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    costs = [part.cost for part in known]
    return Usage(
        cost=None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0)),
        prompt_tokens=sum(part.prompt_tokens or 0 for part in known),
        completion_tokens=sum(part.completion_tokens or 0 for part in known),
        model=known[0].model,
    )
