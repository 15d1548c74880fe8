"""Rules for every HTTP request, whichever application answers it."""

import random
import re
import uuid

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def accept_request_id(text: str | None) -> str:
    """
    Return the id under which a request is logged: the caller's, if it is 1 to 128 visible ASCII
    characters, else a new UUID.

    It is for finding log lines only, never for recognising a repeated request.
    """
    return text if text and REQUEST_ID.fullmatch(text) else str(uuid.UUID(int=random.getrandbits(128), version=4))
