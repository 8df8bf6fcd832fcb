"""CVAT's XML, `CVAT for images 1.1`: boxes with the corners `xtl`, `ytl`, `xbr`, `ybr` in pixels.

https://docs.cvat.ai/docs/manual/advanced/xml_format/
"""

from __future__ import annotations

from xml.etree import ElementTree

from synthbench.labelling.reply import Replies, Reply

TOOL = "cvat"


def read(content: bytes, file: str) -> Replies:
    """The images of a file with their boxes; the file does not say which of them somebody has looked at."""
    replies = Replies(TOOL)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:  # CVAT writes none, and entities can be made to fill the memory
        replies.problems.append(f"{file}: has a DOCTYPE, which CVAT does not write")
        return replies
    try:
        root = ElementTree.fromstring(content)
        if root.tag != "annotations" or root.find("track") is not None:
            raise ValueError("expected the export `CVAT for images 1.1`")
        for image in root.iter("image"):
            place = f"{file}: image {image.get('id')}"
            others = [each.tag for each in image if each.tag not in ("box", "tag")]
            if others:
                replies.problems.append(f"{place}: a shape of the type '{others[0]}'; only boxes are read")
                continue
            boxes = image.findall("box")
            replies.found.append(
                Reply(
                    place=place,
                    names=[image.get("name", "")],
                    boxes=[tuple(float(box.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr")) for box in boxes],  # type: ignore[misc]
                    labels=[box.attrib["label"] for box in boxes],
                    size=(int(image.attrib["width"]), int(image.attrib["height"])),
                )
            )
            turned = sum(bool(float(box.get("rotation", 0))) for box in boxes)
            if turned:
                replies.problems.append(f"{place}: {turned} rotated boxes; only upright ones are read")
                replies.found.pop()
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        replies.problems.append(f"{file}: not CVAT's XML ({type(error).__name__}: {error})")
    return replies
