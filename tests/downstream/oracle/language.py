"""A language model of a few words, in files: those of the hub are not downloaded."""

from __future__ import annotations

import json
import string
import tempfile
from pathlib import Path
from typing import Any, Dict, Sequence, Tuple

import torch

#: In a config: where the files are.
PLACE = "(a small BERT)"
#: Names of classes that are one token each.
WORDS = ("cat", "dog", "bird", "table")
#: Words -> the folder that has them.
_folders: Dict[Tuple[str, ...], Any] = {}


def small_bert(words: Sequence[str] = WORDS) -> str:
    """Write a BERT and its tokenizer, once a process, and return the folder.

    Args:
        words (Sequence[str]): What is one token each; others are spelled. Defaults to
            ``WORDS``.
    """
    from transformers import BertConfig, BertModel

    key = tuple(words)
    if key not in _folders:
        _folders[key] = tempfile.TemporaryDirectory(prefix="bert")
        root = Path(_folders[key].name)
        tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *words]
        letters = string.ascii_lowercase
        tokens += [letter for letter in letters if letter not in words]
        tokens += ["##" + letter for letter in letters]
        (root / "vocab.txt").write_text("\n".join(tokens))
        (root / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
        )
        config = BertConfig(
            vocab_size=len(tokens), num_hidden_layers=2, intermediate_size=128
        )
        torch.manual_seed(0)
        BertModel(config).save_pretrained(str(root), safe_serialization=False)
    return _folders[key].name
