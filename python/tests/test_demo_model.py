"""The arithmetic around the network, with numbers made by hand: no video, no model."""

import numpy as np
import pytest

from ndshare.demo import blazeface
from ndshare.demo.records import FACES, MAX_FACES, seen_fields

SHORT_RANGE = blazeface.LAYOUTS[128]


def test_the_short_range_network_has_896_anchors_in_the_order_of_its_output() -> None:
    centers = blazeface.anchor_centers(SHORT_RANGE)
    assert SHORT_RANGE.anchor_count == 896
    assert centers.shape == (896, 2)
    # 16 x 16 cells of 2 anchors, then 8 x 8 cells of 6; x runs fastest.
    assert np.allclose(centers[[0, 1]], 1 / 32)
    assert np.allclose(centers[[2, 32]], [[3 / 32, 1 / 32], [1 / 32, 3 / 32]])
    assert np.allclose(centers[[512, 517]], 1 / 16)
    assert np.allclose(centers[518], [3 / 16, 1 / 16])
    assert np.allclose(centers[-1], 15 / 16)


@pytest.mark.parametrize(("size", "count"), [(128, 896), (256, 896), (192, 2304)])
def test_every_known_layout_has_as_many_anchors_as_its_network_has_outputs(
    size: int, count: int
) -> None:
    layout = blazeface.LAYOUTS[size]
    assert layout.anchor_count == count
    assert blazeface.anchor_centers(layout).shape == (count, 2)


def test_a_raw_box_is_relative_to_its_anchor_and_in_input_pixels() -> None:
    raw = np.zeros((2, 16), np.float32)
    raw[0, :4] = [0, 0, 64, 32]
    raw[1, :4] = [12.8, -12.8, 12.8, 12.8]
    centers = np.array([[0.5, 0.5], [0.25, 0.75]], np.float32)
    boxes = blazeface.decode_boxes(raw, centers, 128)
    assert np.allclose(boxes, [[0.25, 0.375, 0.75, 0.625], [0.3, 0.6, 0.4, 0.7]])


def test_scores_are_sigmoids_and_extreme_ones_do_not_overflow() -> None:
    raw = np.array([[0.0], [2.0], [-1e30], [1e30]], np.float32)
    scores = blazeface.decode_scores(raw)
    assert scores.shape == (4,)
    assert np.allclose(scores, [0.5, 0.880797, 0, 1])


def test_overlap_is_intersection_over_union() -> None:
    box = np.array([0, 0, 2, 2], np.float32)
    others = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [2, 2, 3, 3], [1, 1, 1, 1]], np.float32)
    assert np.allclose(blazeface.overlap(box, others), [1, 1 / 3, 0, 0])
    empty = np.zeros(4, np.float32)
    assert blazeface.overlap(empty, empty[None]) == 0


def test_overlapping_boxes_are_blended_by_their_scores() -> None:
    boxes = np.array([[0, 0, 10, 10], [2, 0, 12, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([0.9, 0.6, 0.7], np.float32)
    kept, kept_scores = blazeface.suppress(boxes, scores)
    assert np.allclose(kept_scores, [0.9, 0.7])
    assert np.allclose(kept, [[0.8, 0.0, 10.8, 10.0], [50.0, 50.0, 60.0, 60.0]])


def test_weak_boxes_are_left_out_and_none_at_all_is_an_answer() -> None:
    boxes = np.array([[0, 0, 1, 1], [5, 5, 6, 6]], np.float32)
    kept, scores = blazeface.suppress(boxes, np.array([0.1, 0.49], np.float32))
    assert kept.shape == (0, 4)
    assert scores.shape == (0,)


def test_boxes_without_area_come_through_suppression() -> None:
    kept, _ = blazeface.suppress(np.zeros((3, 4), np.float32), np.full(3, 0.9, np.float32))
    assert kept.shape == (3, 4)


@pytest.mark.parametrize(
    ("height", "width"), [(144, 176), (176, 144), (128, 128), (1, 1000), (7, 3)]
)
def test_a_box_finds_its_way_back_from_the_letterbox(height: int, width: int) -> None:
    letterbox = blazeface.Letterbox(height, width, 128)
    inside = np.array(
        [
            letterbox.left,
            letterbox.top,
            letterbox.left + width * letterbox.scale,
            letterbox.top + height * letterbox.scale,
        ],
        np.float32,
    )
    whole = letterbox.to_image(inside[None] / np.float32(128))
    assert np.allclose(whole, [[0, 0, width, height]], atol=1e-2)


def test_the_letterbox_keeps_values_and_fills_the_rest_with_the_middle() -> None:
    image = np.full((64, 128, 3), 255, np.uint8)
    image[:, :64] = 0
    result = blazeface.Letterbox(64, 128, 128)(image)
    assert result.shape == (1, 128, 128, 3)
    assert result.dtype == np.float32
    assert np.all(result[0, :32] == 0)
    assert np.all(result[0, 96:] == 0)
    assert np.all(result[0, 32:96, :63] == -1)
    assert np.all(result[0, 32:96, 65:] == 1)


def test_the_letterbox_at_the_same_size_changes_nothing() -> None:
    image = np.random.default_rng(1).integers(0, 256, (128, 128, 3), np.uint8)
    result = blazeface.Letterbox(128, 128, 128)(image)
    assert np.allclose((result[0] + 1) * 127.5, image, atol=1e-3)


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="0x5"):
        blazeface.Letterbox(5, 0, 128)


def test_a_result_has_room_for_the_most_faces_and_takes_what_it_has() -> None:
    assert FACES["boxes"].maxshape == (MAX_FACES, 4)
    assert FACES["scores"].maxshape == (MAX_FACES,)
    assert seen_fields(144, 176)["image"].maxshape == (144, 176, 3)
