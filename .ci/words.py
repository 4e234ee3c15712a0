"""Check that names, comments and docstrings use no word of the old private vocabulary.

    words.py             check the tree; print PATH:LINE: WORD -> SUGGESTION
    words.py PATH ...    check these files and folders

Names are split at underscores and camel case. String literals that are no docstrings
are not checked: they may be messages to users.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tokenize
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

ROOT = Path(__file__).resolve().parent.parent

#: Word -> suggestion.
WORDS: Dict[str, str] = {
    "room": "space, or the name of the thing",
    "rooms": "spaces, or the name of the thing",
    "house": "the name of the module or package",
    "seam": "wrapper, patch point",
    "seams": "wrappers, patch points",
    "face": "metadata, signature",
    "asleep": "disabled",
    "awake": "enabled",
    "wake": "enable",
    "woken": "enabled",
    "quiet": "disabled, silent",
    "told": "reported, message",
    "said": "reported, message",
    "somebody": "the user, third-party code",
    "nobody": "no caller, no code",
    "ours": "our wrapper, or the name of the thing",
    "theirs": "third-party, or the name of the thing",
    "anew": "again",
}
#: Words that are plain English in prose, and vague as a name.
IN_NAMES: Dict[str, str] = {"whose": "owner"}
#: The same for several words, in names (`way_out`) and in prose.
PHRASES: Dict[str, str] = {
    "way out": "fix",
    "ways out": "fixes",
    "hang on": "depend on",
    "hangs on": "depends on",
    "see to": "ensure, check",
    "sees to": "ensures, checks",
}
#: The same for functions that are called exactly this.
FUNCTIONS: Dict[str, str] = {"look": "check_TOPIC, inspect"}

CHECKED = ("valloss_compat", "tests", ".ci", "benchmarks", "docs", "examples")
Finding = Tuple[int, str, str]

_PROSE = {**WORDS, **PHRASES}
_IN_NAMES = {**_PROSE, **IN_NAMES}
_IN_PROSE = re.compile(rf"\b({'|'.join(_PROSE)})\b".replace(" ", r"\s+"), re.I)
_ENDS_OF_STATEMENT = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
_PARTS_OF_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def in_name(name: str) -> Iterator[str]:
    """Yield the words and phrases of the list that an identifier contains."""
    parts = [part.lower() for part in _PARTS_OF_NAME.findall(name)]
    pairs = [" ".join(pair) for pair in zip(parts, parts[1:])]
    yield from (part for part in parts if part in WORDS or part in IN_NAMES)
    yield from (pair for pair in pairs if pair in PHRASES)


def in_prose(text: str, line: int) -> Iterator[Finding]:
    """Yield what a comment or docstring that begins on this line contains."""
    for found in _IN_PROSE.finditer(text):
        word = " ".join(found.group().lower().split())
        yield line + text.count("\n", 0, found.start()), word, _PROSE[word]


def in_source(source: str) -> List[Finding]:
    """Return line, word and suggestion of each finding in a module."""
    found: List[Finding] = []
    prose: List[Tuple[int, str]] = []
    in_fstring = 0  # before Python 3.12 an f-string is one token
    before = tokenize.TokenInfo(tokenize.NEWLINE, "", (0, 0), (0, 0), "")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line, text = token.start[0], token.string
        if token.type == tokenize.COMMENT:
            text = text.lstrip("#: ")
            first, block = prose[-1] if prose else (-1, "")
            if first + block.count("\n") + 1 == line:  # a phrase may go on here
                prose[-1] = (first, f"{block}\n{text}")
            else:
                prose.append((line, text))
        kind = tokenize.tok_name[token.type]
        in_fstring += kind.endswith("STRING_START") - kind.endswith("STRING_END")
        if in_fstring or kind in ("COMMENT", "NL"):
            continue
        if token.type == tokenize.NAME:
            found += [(line, word, _IN_NAMES[word]) for word in in_name(text)]
            if before.string == "def" and text in FUNCTIONS:
                found.append((line, f"def {text}", FUNCTIONS[text]))
        elif token.type == tokenize.STRING and before.type in _ENDS_OF_STATEMENT:
            prose.append((line, text))  # a docstring
        before = token
    for line, text in prose:
        found += in_prose(text, line)
    return sorted(set(found))


def in_files(places: List[str], root: Path = ROOT) -> List[str]:
    """Return a line for each finding in these files and folders below the root."""
    files: List[Path] = []
    for place in places:
        path = root / place
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    found = []
    for path in files:
        name = Path(os.path.relpath(str(path), str(root))).as_posix()
        for line, word, suggestion in in_source(path.read_text(encoding="utf-8")):
            found.append(f"{name}:{line}: {word} -> {suggestion}")
    return found


def main() -> int:
    """Print all findings; return 1 if there are any."""
    found = in_files(sys.argv[1:] or list(CHECKED))
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
