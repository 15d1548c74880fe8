"""``POST /images``, simulated: pictures or nothing, and previews on the way where they are streamed."""

from collections.abc import Sequence
from typing import Any

from ai.providers.simulator import catalogue, content
from ai.providers.simulator.answering import Answering, Refused, event

PREVIEWS = 2
MOST_IMAGES = 10


class Images(Answering):
    limit_fields = ()
    is_all_or_nothing = True

    def messages_of(self, body: dict[str, Any]) -> list[Any]:
        prompt = body.get("prompt")
        if not prompt or not isinstance(prompt, str):
            raise Refused(400, "prompt: Field required")
        return [{"role": "user", "content": prompt}]

    def make_words(self, model: str) -> list[str]:
        """Its words are previews, which nobody pays for."""
        previews = PREVIEWS if self.faults.chunks is None else self.faults.chunks
        return [content.picture(f"preview {number % PREVIEWS}") for number in range(previews if self.streamed else 0)]

    def make_images(self, model: str) -> list[dict[str, Any]]:
        if "image" not in catalogue.outputs(model):
            raise Refused(404, f"{model} does not make images.")
        count = self.body.get("n") or 1
        if not isinstance(count, int) or not 1 <= count <= MOST_IMAGES:
            raise Refused(400, "n must be a whole number from 1 to 10")
        made = count if self.faults.images is None else self.faults.images
        return [] if self.faults.empty else content.images(content.question_of(self.asked), made)

    def produce_word(self) -> None:
        """Nothing is billed before it is whole."""

    def produce_all(self) -> None:
        self.booking.images = len(self.images)

    def whole(self) -> dict[str, Any]:
        usage = self.usage()
        data = [_picture(image["image_url"]["url"]) for image in self.images]
        return {"created": self.booking.created, "data": data, **({} if usage is None else {"usage": usage})}

    def failed(self) -> dict[str, Any]:
        return {"error": self.error()}

    def word(self, text: str) -> Sequence[bytes]:
        preview = {"partial_image_index": self.booking.chunks, "b64_json": text.partition(",")[2]}
        return (event({"type": "image_generation.partial_image", **preview}),)

    def pictures(self) -> Sequence[bytes]:
        return [self._completed(image) for image in self.images[:-1]]

    def told(self, parts: int = 1) -> Sequence[bytes]:
        usage = self.usage(parts)
        more = {} if usage is None else {"usage": usage}
        return [self._completed(image, **more) for image in self.images[-1:]]

    def broken(self) -> Sequence[bytes]:
        return (event({"type": "error", "error": self.error()}),)

    def _completed(self, image: dict[str, Any], **more: Any) -> bytes:
        picture = _picture(image["image_url"]["url"])
        return event({"type": "image_generation.completed", "created": self.booking.created, **picture, **more})


def _picture(url: str) -> dict[str, str]:
    head, _, data = url.partition(",")
    return {"b64_json": data, "media_type": head.removeprefix("data:").partition(";")[0]}
