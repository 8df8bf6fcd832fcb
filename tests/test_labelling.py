"""People's answers in the formats of their tools: matched by ids, counted, and refused before anything is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthbench.cli import main
from synthbench.contract.images import write_image
from synthbench.errors import SynthbenchError
from synthbench.files import sha256_of
from synthbench.labelling.answers import read_answers
from synthbench.labelling.batch import Asked, Batch, Drawn, batch_folder, image_id, read_batch, slug
from synthbench.labelling.export import export_batch
from synthbench.labelling.importing import Imported, import_answers
from synthbench.labelling.yolo import names_in

SIZE = (80, 40)
DRAWN = Drawn(xyxy=[(10.0, 5.0, 30.0, 25.0), (40.5, 4.0, 60.0, 20.25)], labels=["apple", "green pear"], scores=[0.9, 0.6])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of labels with one batch of four images; two boxes are drawn in the first three, none in the last."""
    make_batch(tmp_path / "labels")
    return tmp_path / "labels"


def make_batch(root: Path, annotator: str = "human", count: int = 4) -> Path:
    folder = batch_folder(root, "orchard", annotator, "sd 1.5", (0, 1), "0123456789abcdef")
    sources, images = [], []
    for number in range(count):
        source = root.parent / f"{number}.png"
        write_image(source, np.full((SIZE[1], SIZE[0], 3), 40 * number, np.uint8))
        sources.append(source)
        sha256 = sha256_of(source)
        name = image_id("sd 1.5", (0, 1), number, sha256)
        drawn = DRAWN if number < 3 else Drawn()
        file = f"images/{name}.png"
        images.append(Asked(id=name, number=number, file=file, width=SIZE[0], height=SIZE[1], sha256=sha256, drawn=drawn))
    batch = Batch(
        suite="orchard",
        annotator=annotator,
        generator="sd 1.5",
        seeds=(0, 1),
        series="0123456789abcdef",
        categories=["apple", "green pear"],
        pre_labels="teacher",
        images=images,
    )
    export_batch(folder, batch, sources)
    return folder


def batch_of(root: Path) -> Path:
    (found,) = root.rglob("asked.json")
    return found.parent


def tasks_of(root: Path) -> list[dict[str, Any]]:
    """What Label Studio exports if every task is submitted as its prediction is, after 10 seconds."""
    tasks: list[dict[str, Any]] = json.loads((batch_of(root) / "label-studio.json").read_text())
    for number, task in enumerate(tasks):
        result = task.pop("predictions")[0]["result"]
        task["id"] = number + 1
        task["annotations"] = [{"result": result, "was_cancelled": False, "lead_time": 10.0, "updated_at": "2026-01-01T00:00:00Z"}]
    return tasks


def take(root: Path, content: object, **options: Any) -> Imported:
    path = root.parent / "answers-of-a-tool.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return import_answers([path], root, **options)


def boxes_in(root: Path) -> dict[int, list[tuple[float, ...]]]:
    answers = read_answers(batch_of(root))
    assert answers is not None
    return {number: [tuple(box) for box in each.boxes.xyxy] for number, each in answers.answers.items()}


def test_label_studio_gives_back_what_was_drawn(root: Path) -> None:
    (taken,) = take(root, tasks_of(root)).taken
    assert (taken.answered, taken.asked, taken.untouched, taken.dropped) == (4, 4, 0, 0)
    found = boxes_in(root)
    assert [len(found[number]) for number in range(4)] == [2, 2, 2, 0], "the last image was looked at, and is empty"
    assert np.allclose(found[0], DRAWN.xyxy, atol=1e-9)
    answers = read_answers(batch_of(root))
    assert answers is not None
    assert [each.seconds for each in answers.answers.values()] == [10.0] * 4
    assert answers.answers[0].boxes.labels == ["apple", "green pear"]


def test_an_image_without_an_annotation_has_not_been_looked_at(root: Path) -> None:
    tasks = tasks_of(root)
    tasks[1]["annotations"] = []
    tasks[2]["annotations"][0]["was_cancelled"] = True
    tasks[1]["drafts"] = [{"result": []}]
    with pytest.raises(SynthbenchError, match=r"2 of 4 images have an answer, nobody looked at the other 2: .*--partial"):
        take(root, tasks)
    assert read_answers(batch_of(root)) is None, "nothing was imported"
    imported = take(root, tasks, partial=True)
    assert imported.skipped == {"draft that was not submitted": 1, "task that was skipped in Label Studio": 1}
    answers = read_answers(batch_of(root))
    assert answers is not None
    assert (sorted(answers.answers), answers.enough_of) == ([0, 3], 4)
    assert answers.are_enough(4)
    assert not answers.are_enough(5), "what was not asked yet was not accepted as missing"


def test_the_rest_may_come_later_and_from_several_files(root: Path) -> None:
    tasks = tasks_of(root)
    first, second = root.parent / "first.json", root.parent / "second.json"
    first.write_text(json.dumps(tasks[:2]))
    second.write_text(json.dumps(tasks[2:]))
    assert import_answers([first, second], root).taken[0].answered == 4
    tasks[0]["annotations"][0]["result"].pop()
    (taken,) = take(root, tasks[:1]).taken
    assert (taken.replaced, taken.answered) == (1, 4), "an answer is corrected, the others stay"
    assert len(boxes_in(root)[0]) == 1
    different = root.parent / "different.json"
    different.write_text(json.dumps(tasks_of(root)[:1]))
    with pytest.raises(SynthbenchError, match="has another answer in the same files"):
        import_answers([root.parent / "answers-of-a-tool.json", different], root)


def test_the_latest_annotation_counts(root: Path) -> None:
    tasks = tasks_of(root)
    tasks[0]["annotations"].append({"result": [], "updated_at": "2026-02-01T00:00:00Z", "was_cancelled": False})
    assert take(root, tasks).skipped == {"second annotation of a task, of which the latest counts": 1}
    assert boxes_in(root)[0] == []


def test_a_rotated_rectangle_becomes_the_upright_box_around_it(root: Path) -> None:
    tasks = tasks_of(root)
    (value, *_) = [region["value"] for region in tasks[0]["annotations"][0]["result"]]
    value.update(x=50.0, y=25.0, width=12.5, height=25.0, rotation=90)  # 10 x 10 pixels around (40, 10), turned to its left
    take(root, tasks)
    assert np.allclose(boxes_in(root)[0][0], (30, 10, 40, 20))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda task: task["data"].update(synthbench_id="sd-0-0-00000-0000"), "1 images are none that people were asked for"),
        (lambda task: result_of(task)[0].update(type="polygonlabels"), "task 1: a region of the type 'polygonlabels'"),
        (lambda task: result_of(task)[0]["value"].update(rectanglelabels=[]), "task 1: a rectangle with 0 labels"),
        (lambda task: result_of(task)[0]["value"].update(rectanglelabels=["plum"]), "no class 'plum'; known: apple, green pear"),
        (lambda task: result_of(task)[0]["value"].update(rectanglelabels=["aple"]), "no class 'aple', did you mean 'apple'?"),
        (lambda task: [each.update(original_width=81) for each in result_of(task)], "is 81 x 40 pixels, and the image is 80 x 40"),
        (lambda task: result_of(task)[0]["value"].update(x=float("nan")), "not finite"),
        (lambda task: task.pop("annotations"), "task 1: not a task of Label Studio's JSON export"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(root: Path, change: Any, message: str) -> None:
    tasks = tasks_of(root)
    change(tasks[0])
    with pytest.raises(SynthbenchError, match=message):
        take(root, tasks)
    assert read_answers(batch_of(root)) is None


def result_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = task["annotations"][0]["result"]
    return result


@pytest.mark.parametrize("content", ["[]", "{}", "no JSON", "<annotations><track/></annotations>", "<!DOCTYPE x><annotations/>"])
def test_other_files_are_refused(root: Path, content: str) -> None:
    with pytest.raises(SynthbenchError, match="answers-of-a-tool"):
        take(root, content)


def test_coco_does_not_say_who_looked(root: Path) -> None:
    content = json.loads((batch_of(root) / "coco.json").read_text())
    moved = content["annotations"][0]
    moved["bbox"] = [12.0, 5.0, 20.0, 20.0]
    with pytest.raises(SynthbenchError, match=r"3 images have no box or just the boxes that were drawn before.*--untouched"):
        take(root, content)
    (taken,) = take(root, content, untouched="skip", partial=True).taken
    assert (taken.answered, taken.untouched) == (1, 3)
    assert boxes_in(root) == {0: [(12.0, 5.0, 32.0, 25.0), DRAWN.xyxy[1]]}
    assert take(root, content, untouched="done").taken[0].answered == 4


def test_images_are_found_by_an_id_in_their_names(root: Path) -> None:
    """As Label Studio's COCO export names them, with category ids from 0 and without the images that nobody looked at."""
    content = json.loads((batch_of(root) / "coco.json").read_text())
    for image in content["images"]:
        image.pop("synthbench_id")
        image["file_name"] = f"../res/x/{'0a1b2c3d-' if image['id'] > 1 else ''}{Path(image['file_name']).name}"
    for each in content["categories"]:
        each["id"] -= 1
    for each in content["annotations"]:
        each["category_id"] -= 1
    content["annotations"][0]["bbox"][0] += 1
    take(root, content, untouched="done")
    answers = read_answers(batch_of(root))
    assert answers is not None
    assert answers.answers[1].boxes.labels == ["apple", "green pear"]
    content["images"][2]["file_name"] = "000002.png"
    with pytest.raises(SynthbenchError, match=r"1 images are none that people were asked for, .*000002\.png"):
        take(root, content, untouched="done")


def test_yolo_goes_there_and_back(root: Path) -> None:
    folder = batch_of(root)
    first, *_, last = sorted((folder / "labels").iterdir())
    first.write_text("1 0.5 0.5 0.25 0.5\n\n")
    last.unlink()  # not looked at
    with pytest.raises(SynthbenchError, match=r"2 images have no box or just the boxes"):
        import_answers([folder], root)
    import_answers([folder], root, untouched="done", partial=True)
    found = boxes_in(root)
    assert sorted(found) == [0, 1, 2]
    assert found[0] == [(30.0, 10.0, 50.0, 30.0)]
    assert np.allclose(found[1], DRAWN.xyxy, atol=1e-6)
    first.write_text("2 0.5 0.5 0.25 0.5\n")
    with pytest.raises(SynthbenchError, match=r"line 1: expected class x y width height, with a class from 0 to 1"):
        import_answers([folder], root, untouched="done")


def test_yolo_with_classes_of_its_own(root: Path, tmp_path: Path) -> None:
    """As Label Studio and CVAT write it: other numbers, a text file for each image."""
    (tmp_path / "export" / "labels").mkdir(parents=True)
    (tmp_path / "export" / "classes.txt").write_text("green pear\napple\n")
    for image in read_batch(batch_of(root)).images:
        (tmp_path / "export" / "labels" / f"{image.id}.txt").write_text("0 0.5 0.5 1.5 0.5\n")
    (taken,) = import_answers([tmp_path / "export"], root).taken
    answers = read_answers(batch_of(root))
    assert answers is not None
    assert taken.answered == 4
    assert answers.answers[2].boxes == Drawn(xyxy=[(0.0, 10.0, 80.0, 30.0)], labels=["green pear"])


@pytest.mark.parametrize(
    "text",
    ["names: [a, 'it''s']\n", 'nc: 2\nnames:\n  0: a\n  1: "it\'s"\n', "names:\n- a\n- it's\nother: 1\n"],
    ids=["list", "table", "lines"],
)
def test_names_of_classes_as_tools_write_them(text: str) -> None:
    assert names_in(text) == ["a", "it's"]


def test_cvat(root: Path) -> None:
    names = [image.file for image in read_batch(batch_of(root)).images]
    box = '<box label="apple" source="manual" occluded="0" xtl="1.50" ytl="2.00" xbr="20.00" ybr="45.00" z_order="0"></box>'
    rows = [f'<image id="{number}" name="{name}" width="80" height="40">{box}</image>' for number, name in enumerate(names)]
    content = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{"".join(rows)}</annotations>'
    take(root, content)
    assert boxes_in(root)[3] == [(1.5, 2.0, 20.0, 40.0)]
    with pytest.raises(SynthbenchError, match="1 images have no box"):
        take(root, content.replace(box, "", 1))
    with pytest.raises(SynthbenchError, match="a shape of the type 'polygon'"):
        take(root, content.replace(box, '<polygon label="apple" points="1,1;2,2;3,3"/>', 1))


def test_two_annotators_of_the_same_images_are_told_apart_by_their_folder(root: Path) -> None:
    tasks = tasks_of(root)
    other = make_batch(root, "another human")
    with pytest.raises(SynthbenchError, match=r"is asked for in .* name one of these folders with --labels"):
        take(root, tasks)
    take(other, tasks)
    assert (other / "answers.json").exists()
    assert len(list(root.rglob("answers.json"))) == 1


def test_answers_follow_their_images_into_another_folder(root: Path) -> None:
    take(root, tasks_of(root))
    answers = batch_of(root) / "answers.json"
    kept = root.parent / "kept.json"
    answers.rename(kept)
    assert import_answers([kept], root).taken[0].answered == 4
    assert json.loads(answers.read_text())["answers"]["0"]["seconds"] == 10.0


def test_the_digest_is_of_what_is_drawn_alone(root: Path) -> None:
    tasks = tasks_of(root)
    take(root, tasks)
    before = read_answers(batch_of(root))
    for task in tasks:
        task["annotations"][0]["lead_time"] = 99.0
    take(root, tasks)
    after = read_answers(batch_of(root))
    assert before is not None
    assert after is not None
    assert before != after
    assert before.digest(4) == after.digest(4)
    result_of(tasks[3]).append(json.loads(json.dumps(result_of(tasks[0])[0])))
    take(root, tasks)
    corrected = read_answers(batch_of(root))
    assert corrected is not None
    assert corrected.digest(4) != after.digest(4)
    assert corrected.digest(3) == after.digest(3), "the first three images have the same answers"


def test_what_is_answered_is_not_asked_again(root: Path) -> None:
    take(root, tasks_of(root)[:3], partial=True)
    make_batch(root)
    assert len(tasks_of(root)) == 1
    assert len(json.loads((batch_of(root) / "coco.json").read_text())["images"]) == 1
    assert len(read_batch(batch_of(root)).images) == 4
    assert "Label 1 images" in (batch_of(root) / "README.md").read_text()


def test_the_command_says_what_it_took(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks, exported = tasks_of(root), root.parent / "export.json"
    tasks[1]["annotations"] = []
    result_of(tasks[0])[0]["value"].update(x=100.0)
    exported.write_text(json.dumps(tasks))
    command = ["label", "import", str(exported), "--labels", str(root)]
    assert main(command) == 2
    assert "nothing was imported" in capsys.readouterr().err
    assert main([*command, "--partial"]) == 0
    told = capsys.readouterr().out
    assert "3 images with 3 boxes, 1 of them empty; 0.5 minutes for 3 images; 1 boxes outside of their image dropped; 3 of 4 images" in told
    assert main(["label", "list", "--labels", str(root)]) == 0
    assert "3 of 4 images have an answer" in capsys.readouterr().out
    assert main(["label", "list", "--labels", str(root / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_names_become_folders_that_stay_apart() -> None:
    assert slug("sd15") == "sd15"
    assert slug("..") != slug("__")
    assert "/" not in slug("a/b")
    assert slug("sd 1.5").isascii()
    assert slug("\u00e4") != slug("\u00f6")


def test_coco_that_mixes_its_images_up_is_refused(root: Path) -> None:
    content = json.loads((batch_of(root) / "coco.json").read_text())
    for change, message in (
        ({"images": [{**each, "id": 1} for each in content["images"]]}, "two of its images have the same id"),
        ({"categories": [*content["categories"], {"id": 1, "name": "green pear"}]}, "two of its categories have the same id"),
        ({"annotations": [{**each, "iscrowd": 1} for each in content["annotations"]]}, "a crowd region"),
        ({"annotations": [{**each, "bbox": [30, 25, -20, -20]} for each in content["annotations"]]}, "a box whose right or lower edge"),
        ({"images": [{**each, "width": float("inf")} for each in content["images"]]}, "not a COCO file"),
    ):
        with pytest.raises(SynthbenchError, match=message):
            take(root, content | change, untouched="done")
    assert read_answers(batch_of(root)) is None


def test_answers_with_more_boxes_than_labels_are_refused(root: Path) -> None:
    take(root, tasks_of(root))
    content = json.loads((batch_of(root) / "answers.json").read_text())
    content["answers"]["0"]["boxes"]["labels"].pop()
    with pytest.raises(SynthbenchError, match="2 boxes and 1 labels"):
        take(root, content)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -5])
def test_an_impossible_time_is_no_time(root: Path, seconds: float) -> None:
    tasks = tasks_of(root)
    for task in tasks:
        task["annotations"][0]["lead_time"] = seconds
    take(root, tasks)
    answers = read_answers(batch_of(root))
    assert answers is not None
    assert [each.seconds for each in answers.answers.values()] == [None] * 4


def test_names_of_yolo_count_by_their_numbers(root: Path, tmp_path: Path) -> None:
    assert names_in("names:\n  1: pear\n  0: apple\n") == ["apple", "pear"]
    assert names_in("names: {1: pear, 0: 'yes'}\n") == ["yes", "pear"]
    assert names_in("names: [a,\n  b]\n") == ["a", "b"]
    assert names_in("names: {0: a, 2: b}\n") == []
    (tmp_path / "export" / "labels").mkdir(parents=True)
    (tmp_path / "export" / "data.yaml").write_text("names: {0: apple, 7: green pear}\n")
    (tmp_path / "export" / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    with pytest.raises(SynthbenchError, match="no `names` of classes that can be read"):
        import_answers([tmp_path / "export"], root)
