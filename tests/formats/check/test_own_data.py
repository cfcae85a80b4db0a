import copy
import json

import numpy as np
import pytest

from dvps_d2.formats import FormatError
from dvps_d2.formats.check import check_json
from dvps_d2.formats.check.located import read_located_json
from dvps_d2.formats.png import id_to_rgb, write_png

CONTENT = {
    "categories": [
        {"id": 1, "name": "cat", "isthing": 1, "color": [220, 20, 60]},
        {"id": 2, "name": "lawn", "isthing": 0, "color": [0, 128, 0]},
    ],
    "videos": [
        {
            "video_id": "garden",
            "width": 2,
            "height": 1,
            "images": [
                {"id": "a", "file_name": "f/a.png"},
                {"id": "b", "file_name": "f/b.png"},
            ],
        }
    ],
    "annotations": [
        {
            "video_id": "garden",
            "annotations": [
                {
                    "image_id": "a",
                    "file_name": "l/a.png",
                    "segments_info": [
                        {"id": 7, "category_id": 1, "iscrowd": 0},
                        {"id": 9, "category_id": 2, "iscrowd": 0},
                    ],
                }
            ],
        }
    ],
}


@pytest.fixture
def root(tmp_path):
    for name in "ab":
        write_png(tmp_path / f"f/{name}.png", np.zeros((1, 2, 3), np.uint8))
    write_png(tmp_path / "l/a.png", id_to_rgb(np.array([[7, 9]])))
    return tmp_path


def check(root, content):
    path = root / "own.json"
    path.write_text(json.dumps(content, indent=1))
    return check_json(path)


def changed(change):
    content = copy.deepcopy(CONTENT)
    change(content)
    return content


def image(content, i=0):
    return content["videos"][0]["images"][i]


def segments(content):
    return content["annotations"][0]["annotations"][0]["segments_info"]


def test_objects_know_their_lines(tmp_path):
    (tmp_path / "x.json").write_text('{"a": [\n {"b": 1},\n\n {"c": {}}]}')
    content = read_located_json(tmp_path / "x.json")
    assert content == {"a": [{"b": 1}, {"c": {}}]}
    assert [content.line, *(entry.line for entry in content["a"])] == [1, 2, 4]
    (tmp_path / "x.json").write_text('{"a":\n 1,}')
    with pytest.raises(FormatError, match=r"x\.json, line 2, column"):
        read_located_json(tmp_path / "x.json")


def test_good_data_passes_and_its_files_are_opened(root):
    report = check(root, CONTENT)
    assert not report.has_errors, report.lines()
    assert report.counts["all"] == {"videos": 1, "frames": 2, "labelled": 1}
    write_png(root / "f/b.png", np.zeros((4, 4, 3), np.uint8))
    assert any("found 4x4" in line for line in check(root, CONTENT).lines())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda c: c.pop("videos"), "line 1: file: 'videos' is missing", id="no videos"
        ),
        pytest.param(
            lambda c: image(c, 1).pop("file_name"),
            "videos[0].images[1]: 'file_name' is missing",
            id="no file name",
        ),
        pytest.param(
            lambda c: image(c).update(id=4), "'id' must be a text, got 4", id="number as image id"
        ),
        pytest.param(
            lambda c: image(c).update(file_name="f/z.png"),
            "videos[0].images[0]: file_name 'f/z.png' does not exist",
            id="missing image",
        ),
        pytest.param(
            lambda c: image(c, 1).update(id="a"),
            "videos[0].images[1]: id 'a' is also that of videos[0].images[0]",
            id="repeated image",
        ),
        pytest.param(
            lambda c: [image(c).update(frame_id=5), image(c, 1).update(frame_id=5)],
            "frame_id 5 follows 5",
            id="order of time",
        ),
        pytest.param(
            lambda c: c["categories"][0].update(isthing=2), "isthing must be 0 or 1", id="isthing"
        ),
        pytest.param(
            lambda c: c["categories"][0].update(color=[1, 2, 256]), "color must be", id="colour"
        ),
        pytest.param(
            lambda c: segments(c)[0].update(category_id=3),
            "segments_info[0]: category_id 3 is not in categories",
            id="unknown class",
        ),
        pytest.param(lambda c: segments(c)[0].update(id=0), "0 is void", id="id of void"),
        pytest.param(
            lambda c: segments(c)[0].update(category_id=2),
            "stuff category 2 has two segments",
            id="stuff twice",
        ),
        pytest.param(
            lambda c: c["annotations"][0].update(video_id="zoo"),
            "annotations[0]: video_id 'zoo' is not in videos",
            id="unknown video",
        ),
        pytest.param(
            lambda c: c["annotations"][0]["annotations"][0].update(image_id="c"),
            "image_id 'c' is no image of 'garden'",
            id="unknown image",
        ),
        pytest.param(lambda c: c.update(videos=[4]), "expected an object, got 4", id="no object"),
    ],
)
def test_each_mistake_has_its_message(root, change, message):
    report = check(root, changed(change))
    assert report.has_errors
    assert any(message in line for line in report.lines()), report.lines()


def test_the_line_is_that_of_the_entry(root):
    report = check(root, changed(lambda c: image(c, 1).pop("file_name")))
    (finding,) = [f for f in report.findings if f.level == "error"]
    lines = (root / "own.json").read_text().splitlines()
    number = int(finding.where.rsplit("line ", 1)[1])
    assert lines[number - 1].strip() == "{"
    assert lines[number].strip() == '"id": "b"'


def test_something_else_than_json(root):
    (root / "own.json").write_text("[1, 2]")
    assert "expected an object at the top" in check_json(root / "own.json").lines()[0]
    (root / "own.json").write_text("{")
    first = check_json(root / "own.json").lines()[0]
    assert "not valid JSON" in first
    assert first.count("own.json") == 1
