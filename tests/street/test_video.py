"""What is said about a frame is true: flow, depth, pose and identity fit together."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dvps_d2.street import PRESETS, STUFF_IDS, THING_IDS, StreetVideo, split_seed

CLEAN = replace(PRESETS["quick"], noise=0.0)
SEEDS = [split_seed("test", index) for index in range(4)]


@pytest.fixture(scope="module")
def videos():
    return [StreetVideo(CLEAN, seed) for seed in SEEDS]


def unproject(frame):
    """(H, W, 3) world points."""
    rows, columns = np.mgrid[: frame.depth.shape[0], : frame.depth.shape[1]]
    pixels = np.stack([columns, rows, np.ones_like(rows)], -1) * frame.depth[..., None]
    camera = pixels @ np.linalg.inv(frame.intrinsics.matrix).T
    return camera @ frame.pose[:3, :3].T + frame.pose[:3, 3]


def test_depth_and_poses_give_the_flow_of_what_stands_still(videos):
    for video in videos:
        now, then = video.render(1, with_flow=True), video.render(2)
        camera = np.linalg.inv(then.pose)
        points = unproject(now) @ camera[:3, :3].T + camera[:3, 3]
        ahead = (now.depth > 0) & (now.track_ids == 0) & np.isin(now.class_ids, STUFF_IDS)
        ahead &= points[..., 2] > 0.5
        projected = points[ahead] @ now.intrinsics.matrix.T
        projected = projected[:, :2] / projected[:, 2:]
        rows, columns = np.nonzero(ahead)
        flow = projected - np.stack([columns, rows], -1)
        assert np.abs(flow - now.flow_to_next[ahead]).max() < 0.1
        assert np.abs(flow).max() > 1


def test_warping_the_next_frame_by_the_flow_gives_this_frame(videos):
    differences, unmoved = [], []
    for video in videos:
        now, then = video.render(1, with_flow=True), video.render(2)
        rows, columns = np.mgrid[: now.depth.shape[0], : now.depth.shape[1]].astype(np.float32)
        dx, dy = np.moveaxis(now.flow_to_next, -1, 0)
        warped = cv2.remap(then.image, columns + dx, rows + dy, cv2.INTER_LINEAR).astype(float)
        # Pixels at an edge average two surfaces: compare where the neighbourhood is one segment.
        segment = now.class_ids + 256.0 * now.track_ids
        around = np.ones((3, 3), np.uint8)
        inner = cv2.erode(segment, around) == cv2.dilate(segment, around)
        valid = now.flow_valid
        assert valid.mean() > 0.5
        differences.append(np.abs(warped - now.image)[valid & inner].mean())
        unmoved.append(np.abs(then.image.astype(float) - now.image)[valid & inner].mean())
    # Not zero: textures are sampled anew and shadows move on their own.
    assert max(differences) < 4
    assert sum(differences) < 0.35 * sum(unmoved)


def test_flow_leads_to_the_same_object(videos):
    followed = 0
    for video in videos:
        now, then = video.render(1, with_flow=True), video.render(2)
        rows, columns = np.nonzero(now.flow_valid & (now.track_ids > 0))
        dx, dy = now.flow_to_next[rows, columns].T
        there = np.rint(rows + dy).astype(int), np.rint(columns + dx).astype(int)
        named = then.class_ids[there] != 255  # an object may have become too small to be labelled
        same = then.track_ids[there] == now.track_ids[rows, columns]
        assert same[named].all()
        followed += len(rows)
    assert followed > 1000


def test_flow_of_what_passes_the_camera_is_finite_and_ends_outside():
    """Half a second on, the nearest things of the compare street lie behind the camera."""
    config = replace(PRESETS["compare"], noise=0.0)
    height, width = config.height, config.width
    cut_off = 0
    for seed in SEEDS:
        video = StreetVideo(config, seed)
        for key in range(config.frames - 1):
            flow, visible = video.flow(key, key + 1)
            assert np.isfinite(flow.astype(np.float16)).all()
            far = (np.abs(flow) == 2 * width).any(axis=-1)
            rows, columns = np.nonzero(far)
            x, y = columns + flow[far][:, 0], rows + flow[far][:, 1]
            assert ((x < 0) | (x >= width) | (y < 0) | (y >= height)).all()
            assert not visible[far].any()
            cut_off += len(rows)
    assert cut_off > 0


def test_flow_of_things_is_their_own_motion(videos):
    """Things move against the background: most do not follow the flow of a static scene."""
    moving = 0
    for video in videos:
        now, then = video.render(1, with_flow=True), video.render(2)
        camera = np.linalg.inv(then.pose)
        thing = now.track_ids > 0
        points = (unproject(now) @ camera[:3, :3].T + camera[:3, 3])[thing]
        projected = points @ now.intrinsics.matrix.T
        rows, columns = np.nonzero(thing)
        static = projected[:, :2] / projected[:, 2:] - np.stack([columns, rows], -1)
        moving += (np.abs(static - now.flow_to_next[thing]).max(-1) > 0.5).sum()
    assert moving > 500


def test_the_sky_moves_only_when_the_camera_turns(videos):
    video = videos[0]
    now, then = video.render(0, with_flow=True), video.render(1)
    turn = then.pose[:3, :3].T @ now.pose[:3, :3]
    rows, columns = np.nonzero(now.class_ids == 10)
    matrix = now.intrinsics.matrix
    rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(matrix).T
    projected = rays @ turn.T @ matrix.T
    flow = projected[:, :2] / projected[:, 2:] - np.stack([columns, rows], -1)
    assert np.abs(flow - now.flow_to_next[rows, columns]).max() < 0.01


def test_the_same_seed_gives_the_same_frames_in_any_order():
    forwards, backwards = StreetVideo(PRESETS["quick"], 5), StreetVideo(PRESETS["quick"], 5)
    late = backwards.render(4)
    for t in (0, 4):
        a, b = forwards.render(t), late if t == 4 else backwards.render(t)
        for field in ("image", "class_ids", "track_ids", "depth", "pose"):
            assert (getattr(a, field) == getattr(b, field)).all(), field


def test_splits_show_different_streets():
    images = [
        StreetVideo(PRESETS["quick"], split_seed(split, 0)).render(0).image.astype(int)
        for split in ("train", "val", "test")
    ]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(images[a] - images[b]).mean() > 10


def test_labels_are_sound(videos):
    for video in videos:
        classes = {}
        for frame in video:
            assert set(np.unique(frame.class_ids)) <= {*STUFF_IDS, *THING_IDS, 255}
            thing = np.isin(frame.class_ids, THING_IDS)
            assert ((frame.track_ids > 0) == thing).all()
            for track in np.unique(frame.track_ids[thing]):
                found = set(np.unique(frame.class_ids[frame.track_ids == track]))
                assert len(found) == 1
                assert classes.setdefault(track, found) == found
                assert (frame.track_ids == track).sum() >= CLEAN.min_thing_pixels


def test_small_things_are_void_not_stuff(videos):
    everything = StreetVideo(replace(CLEAN, min_thing_area=0.0), SEEDS[0])
    hidden = 0
    for t in range(len(everything)):
        all_labels, labels = everything.render(t), videos[0].render(t)
        void = labels.class_ids == 255
        assert np.isin(all_labels.class_ids[void], THING_IDS).all()
        assert (all_labels.class_ids[~void] == labels.class_ids[~void]).all()
        areas = np.bincount(all_labels.track_ids.ravel())[1:]
        hidden += ((areas > 0) & (areas < 40)).sum()
        assert void.sum() == areas[areas < 40].sum()
    assert hidden > 0


def test_depth_is_metric_and_ends_where_it_should(videos):
    for video in videos:
        frame = video.render(0)
        assert (frame.depth[frame.class_ids == 10] == 0).all()
        assert frame.depth.max() <= CLEAN.max_depth
        assert frame.depth[frame.depth > 0].min() > 1
        # The road under the camera: unprojected, it lies at height 0.
        road = (frame.class_ids == 0) & (frame.depth > 0)
        assert np.abs(unproject(frame)[road][:, 1]).max() < 0.02


def test_a_rider_and_the_bicycle_are_two_things():
    found = set()
    for seed in range(12):
        frame = StreetVideo(CLEAN, seed).render(2)
        for class_id in THING_IDS:
            if (frame.class_ids == class_id).any():
                found.add(class_id)
        riders = np.unique(frame.track_ids[frame.class_ids == 12])
        assert not set(riders) & set(np.unique(frame.track_ids[frame.class_ids == 18]))
    assert found == set(THING_IDS)


@pytest.mark.parametrize(("height", "width"), [(32, 64), (97, 201), (128, 256)])
@pytest.mark.parametrize("antialias", [True, False])
def test_any_size(height, width, antialias):
    config = replace(CLEAN, height=height, width=width, antialias=antialias)
    frame = StreetVideo(config, 1).render(0)
    assert frame.image.shape == (height, width, 3)
    for field in ("class_ids", "track_ids", "depth"):
        assert getattr(frame, field).shape == (height, width)
    assert frame.intrinsics.matrix[0, 0] == pytest.approx(config.focal * width)


def test_antialiasing_changes_colours_never_labels():
    smooth, sharp = (StreetVideo(replace(CLEAN, antialias=a), 3).render(1) for a in (True, False))
    assert (smooth.class_ids == sharp.class_ids).all()
    assert (smooth.track_ids == sharp.track_ids).all()
    assert np.abs(smooth.depth - sharp.depth).max() < 1e-3
    assert (smooth.image != sharp.image).any()


def test_noise_differs_between_frames_and_can_be_switched_off():
    noisy, clean = (StreetVideo(replace(CLEAN, noise=n), 3) for n in (1.0, 0.0))
    grain = [noisy.render(t).image.astype(int) - clean.render(t).image for t in (0, 1)]
    assert grain[0].std() > 0.5
    assert abs(np.corrcoef(grain[0].ravel(), grain[1].ravel())[0, 1]) < 0.5


def test_a_frame_outside_the_video_is_refused():
    with pytest.raises(IndexError, match=r"0\.\.5, got 6"):
        StreetVideo(CLEAN, 0).render(6)
