"""Text in pictures: a font that has its letters."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def lettered(text: str, size: int) -> tuple[str, Font]:
    """A text as it can be drawn, and the font for it, so many pixels high.

    Pillow's own font has next to nothing beyond ASCII. DejaVu Sans, which comes with matplotlib, has accents and the Greek, Cyrillic and
    Arabic letters; what it lacks, such as Chinese, becomes its number, as in `\\u82f9`, by which two names can still be told apart.
    """
    if text.isascii():
        return text, ImageFont.load_default(size)
    path, known = dejavu()
    return "".join(letter if ord(letter) in known else ascii(letter)[1:-1] for letter in text), ImageFont.truetype(path, size)


@cache
def dejavu() -> tuple[Path, frozenset[int]]:
    """The file of DejaVu Sans, and the letters that it has."""
    import matplotlib as mpl  # takes a while, and most names are ASCII
    from matplotlib.ft2font import FT2Font

    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return path, frozenset(FT2Font(str(path)).get_charmap())
