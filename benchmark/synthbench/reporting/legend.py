"""The colours of categories, and the legend that says which is which."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synthbench.lettering import Font, lettered
from synthbench.text import shortened

if TYPE_CHECKING:
    from PIL import ImageDraw

Colour = tuple[int, int, int]
COLOURS: Sequence[Colour] = (
    (255, 225, 0),
    (0, 229, 255),
    (255, 70, 200),
    (255, 255, 255),
    (255, 130, 0),
    (120, 140, 255),
    (235, 30, 40),
    (150, 255, 170),
)
"""Of the first categories: they stand out from foliage, and the first five from each other for the colour-blind too."""
MARGIN, LINE, SWATCH, SPACE = 6, 22, 12, 16
"""Pixels: around the legend, from line to line, a swatch's side, and between two names."""
LONGEST, LETTERS = 40, 14  # characters of a name, and their height in pixels


def colour_of(label: int) -> Colour:
    """The colour of a category, the same in all pictures. Beyond the list, hues turned by the golden angle from each to the next."""
    if label < len(COLOURS):
        return COLOURS[label]
    red, green, blue = colorsys.hsv_to_rgb(label * 0.381966 % 1, 0.75, 1.0 if label % 2 else 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)


class Legend:
    """Swatches with the names of categories, in as many lines as a width needs. names: with their labels."""

    def __init__(self, names: Sequence[tuple[int, str]], width: int) -> None:
        self.places: list[tuple[int, int, int, str, Font]] = []
        left, line = MARGIN, 0
        for label, name in names:
            text, font = lettered(shortened(name, LONGEST), LETTERS)
            wide = SWATCH + 5 + round(font.getlength(text))
            if left > MARGIN and left + wide > width - MARGIN:
                left, line = MARGIN, line + 1
            self.places.append((left, line, label, text, font))
            left += wide + SPACE
        self.height = (line + 1) * LINE + MARGIN if names else 0

    def draw(self, pen: ImageDraw.ImageDraw, top: int) -> None:
        """Draws it from `top` on: black on the white of the sheet, so that it can be read on a dark page too."""
        for left, line, label, text, font in self.places:
            upper = top + MARGIN + line * LINE
            pen.rectangle((left, upper, left + SWATCH, upper + SWATCH), fill=colour_of(label), outline="black")
            pen.text((left + SWATCH + 5, upper - 3), text, fill="black", font=font)
