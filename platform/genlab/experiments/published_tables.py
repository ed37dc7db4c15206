"""Tables within a text, each between two marks and made from a file of the name that they give."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any


def with_tables_of(kind: str, text: str, folder: Path, table: Callable[[dict[str, Any]], str]) -> str:
    """The text with what stands between `<!-- KIND: NAME -->` and `<!-- end of KIND -->` renewed from NAME.json."""

    def renewed(match: re.Match[str]) -> str:
        new = table(json.loads((folder / f"{match[1]}.json").read_text()))
        return f"<!-- {kind}: {match[1]} -->\n{new}\n<!-- end of {kind} -->"

    return re.sub(rf"<!-- {kind}: (\w+) -->\n.*?<!-- end of {kind} -->", renewed, text, flags=re.S)
