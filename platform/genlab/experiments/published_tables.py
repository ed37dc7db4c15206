"""Tables within a text, each between two marks and made from the files of the names that they give."""

import json
import re
from collections.abc import Callable
from pathlib import Path


def with_tables_of(kind: str, text: str, folder: Path, table: Callable[..., str]) -> str:
    """The text with what stands between `<!-- KIND: NAME ... -->` and `<!-- end of KIND -->` renewed.

    The table is made from what each NAME.json of the folder holds, one argument for each, in the mark's order.
    """

    def renewed(match: re.Match[str]) -> str:
        new = table(*(json.loads((folder / f"{name}.json").read_text()) for name in match[1].split()))
        return f"<!-- {kind}: {match[1]} -->\n{new}\n<!-- end of {kind} -->"

    return re.sub(rf"<!-- {kind}: (\w+(?: \w+)*) -->\n.*?<!-- end of {kind} -->", renewed, text, flags=re.S)
