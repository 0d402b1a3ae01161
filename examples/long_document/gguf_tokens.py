"""The tokenizer of a language model, read out of the file that its weights are in (GGUF): a byte-pair encoding in the
manner of GPT-2, with each digit alone, as SmolLM2 has it. Its counts are exact; the weights are not read.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO, Sequence

import tiktoken

#: What is never merged across: digits are cut out first, so white space before one is taken whole, as at the end of a
#: text. llama.cpp names it "smollm".
_PIECES = r"\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"
#: GGUF's scalar types, as struct reads them; 8 is a string and 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_NORMAL = 1


class Tokens:
    """``encode(text)`` gives the model's own tokens. Raises ValueError for a file that is no GGUF of this kind."""

    def __init__(self, weights: Path) -> None:
        told = _metadata(weights)
        kind = told.get("tokenizer.ggml.model"), told.get("tokenizer.ggml.pre")
        if kind != ("gpt2", "smollm"):
            raise ValueError(f"{weights}: a tokenizer of the kind {kind}; this reads only smollm's")
        pieces = zip(told["tokenizer.ggml.tokens"], told["tokenizer.ggml.token_type"], strict=True)
        letters = _bytes_by_letter()
        ranks = {
            bytes(letters[letter] for letter in piece): rank
            for rank, (piece, type_) in enumerate(pieces)
            if type_ == _NORMAL
        }
        # bytes that the vocabulary has no piece for still have to be counted as something
        for byte in range(256):
            ranks.setdefault(bytes([byte]), len(told["tokenizer.ggml.tokens"]) + byte)
        self._encoding = tiktoken.Encoding("smollm2", pat_str=_PIECES, mergeable_ranks=ranks, special_tokens={})

    def encode(self, text: str) -> Sequence[int]:
        return self._encoding.encode_ordinary(text)


def _bytes_by_letter() -> dict[str, int]:
    """GPT-2 writes each byte as a letter that can be seen: itself where it can, else one from 256 on."""
    seen = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {chr(256 + number): byte for number, byte in enumerate(rest)}


def _metadata(weights: Path) -> dict[str, Any]:
    """What stands before the weights, by name."""
    with weights.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{weights} is no GGUF file")
        _, _, entries = struct.unpack("<IQQ", file.read(20))
        return {_string(file): _value(file, _scalar(file, "I")) for _ in range(entries)}


def _scalar(file: BinaryIO, form: str) -> Any:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))[0]


def _string(file: BinaryIO) -> str:
    return file.read(_scalar(file, "Q")).decode()


def _value(file: BinaryIO, type_: int) -> Any:
    if type_ == _STRING:
        return _string(file)
    if type_ == _ARRAY:
        of = _scalar(file, "I")
        return [_value(file, of) for _ in range(_scalar(file, "Q"))]
    return _scalar(file, _SCALARS[type_])
