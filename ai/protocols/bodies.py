"""Bodies of our own endpoints: what they do not know they refuse, and say by name."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from accounts.errors import ValidationFailed

Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def validated(model: type[Model], payload: dict[str, Any]) -> Model:
    """
    Return ``payload`` as ``model``.

    :raises ValidationFailed: with every field that is wrong
    """
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        raise ValidationFailed(details=[_detail(problem) for problem in error.errors(include_url=False)]) from error


def _detail(problem: Mapping[str, Any]) -> dict[str, str]:
    path = [*problem["loc"]]
    if problem["type"] == "extra_forbidden":
        name = path.pop()
        return {"field": _field(path), "message": f'Unrecognized key: "{str(name)[:100]}"', "code": "UNRECOGNIZED_KEYS"}
    return {"field": _field(path), "message": problem["msg"], "code": problem["type"].upper()}


def _field(path: list[str | int]) -> str:
    return "body" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
