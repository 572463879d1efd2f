"""What may have to be taken off the front of references before they name an order. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_BEFORE_LAST_WORD = re.compile(r"^(.*?[^0-9A-Za-z])[0-9A-Za-z]+$", re.DOTALL)
_BEFORE_DIGITS = re.compile(r"^(\D+)\d+$")
_SHARE_MIN = 0.3
"""Of the texts, how many must begin with a prefix for it to be tried."""
_LONGEST = 60


def prefixes(texts: Sequence[str]) -> list[str]:
    """Prefixes worth trying, "" first, then the most common: `SL-` of SL-1043, `#` of #1043, `SO` of SO1043."""
    counted: Counter[str] = Counter()
    for text in texts:
        found = {match.group(1) for form in (_BEFORE_DIGITS, _BEFORE_LAST_WORD) if (match := form.match(text))}
        counted.update(prefix for prefix in found if len(prefix) <= _LONGEST)
    often = [prefix for prefix, count in counted.most_common(4) if count >= max(2, len(texts) * _SHARE_MIN)]
    return ["", *sorted(often, key=lambda prefix: (-counted[prefix], len(prefix)))]


def without(prefix: str, texts: Sequence[str]) -> list[str]:
    return [text[len(prefix) :] if prefix and text.startswith(prefix) else text for text in texts]
