"""
Bytes to text: UTF-8, or one of a short list of older charsets that a form says it was written in.

The names are those of the WHATWG Encoding Standard, which reads ISO-8859-1 as windows-1252, as browsers do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from schema.payload.model import Judge

UTF8: Final = "utf-8"
UNKNOWN: Final = ""
"""Stands for a charset that was declared and is not one of ours."""

_CODECS: Final[dict[str, str]] = {
    "utf-8": UTF8, "utf8": UTF8, "us-ascii": UTF8, "ascii": UTF8,
    "windows-1252": "cp1252", "cp1252": "cp1252", "iso-8859-1": "cp1252", "latin1": "cp1252", "iso8859-1": "cp1252",
    "iso-8859-2": "iso8859-2", "iso-8859-15": "iso8859-15", "iso-8859-9": "cp1254",
    "windows-1250": "cp1250", "windows-1251": "cp1251", "windows-1253": "cp1253", "windows-1254": "cp1254",
    "windows-1255": "cp1255", "windows-1256": "cp1256", "koi8-r": "koi8-r",
    "shift_jis": "cp932", "windows-31j": "cp932", "euc-jp": "euc-jp", "euc-kr": "cp949",
    "gbk": "gb18030", "gb2312": "gb18030", "gb18030": "gb18030", "big5": "big5hkscs",
}  # fmt: skip


def codec(declared: str) -> str:
    """The Python codec for a declared charset; `UTF8` if none is declared, `UNKNOWN` if it is not on the list."""
    name = declared.strip().strip("\"'").lower()
    return _CODECS.get(name, UNKNOWN) if name else UTF8


def as_text(raw: bytes, charset: str, pointer: str, judge: Judge) -> str:
    """
    The bytes as text.

    Bytes that are not what they should be are flagged (refused when strict). Broken UTF-8 is then read as
    windows-1252, which is what most senders of it meant; other broken bytes become U+FFFD.
    """
    if charset == UNKNOWN:
        judge.flag("unsupported_charset", pointer)
        return raw.decode(UTF8, "replace")
    try:
        return raw.decode(charset)
    except UnicodeDecodeError:
        judge.flag("utf8_invalid", pointer)
        return raw.decode("cp1252" if charset == UTF8 else charset, "replace")
