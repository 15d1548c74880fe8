"""Text that people read, written in one way. Pure."""

import unicodedata

#: Control characters, invisible ones, halves of surrogate pairs, and separators of lines and paragraphs.
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def plain(text: str) -> str:
    """
    Return ``text`` in Unicode's composed form (NFC), without what nobody sees, which makes one text look like another.

    A text that is plain already stays the same.
    """
    seen = "".join(character for character in text if unicodedata.category(character) not in UNSEEN)
    return unicodedata.normalize("NFC", seen)
