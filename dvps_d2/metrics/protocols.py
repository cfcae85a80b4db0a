"""Evaluation protocols as data.

A protocol says which windows, which depth thresholds, who counts and how averages are taken.
The counting itself is the same for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class ClassSet:
    """The classes of a dataset.

    Attributes:
        names: name of class 0, 1, ...
        thing_ids: classes whose objects are told apart.
    """

    names: tuple[str, ...]
    thing_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        bad = [i for i in self.thing_ids if not 0 <= i < len(self.names)]
        if bad:
            raise ValueError(f"thing_ids {bad} are outside 0..{len(self.names) - 1}")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def numbered(cls, count: int, thing_ids: tuple[int, ...]) -> ClassSet:
        """Classes without names: "0", "1", ..."""
        return cls(tuple(str(i) for i in range(count)), tuple(thing_ids))


@dataclass(frozen=True)
class Protocol:
    """Everything in which one evaluation differs from another.

    Attributes:
        name: key in ``PROTOCOLS``.
        title: one line for the table heading.
        source: paper or definition.
        metrics: what is computed by default: "vpq", "dvpq", "stq", "dstq", "depth".
        windows: window lengths in labelled frames; windows start at every frame, stay inside a
            video, and VPQ is the plain mean over the lengths.
        lambdas: relative depth errors above which a pixel loses its prediction (DVPQ); 0 = depth
            is not looked at.
        mean_over: "occurring" averages over classes with any TP, FP or FN; "all" over every
            class, where a class that never occurs counts 0.
        eval_classes: exactly these classes enter the averages, whether they occur or not; None =
            what ``mean_over`` and ``left_out`` say.
        left_out: classes that enter no average.
        min_truth_pixels: smaller truth tubes are not matched and not missed; 0 = no limit.
        empty_is_missed: truth that is listed without any pixel is missed, although it is smaller
            than ``min_truth_pixels``.
        last_crowd_only: only the last listed crowd region of a class excuses predictions.
        epsilon: added to the denominators.
        nan_without_tp: a counted class without a true positive makes the averages undefined,
            where otherwise it counts 0.
        void_column: STQ counts predicted void on labelled pixels as one more class of IoU 0.
        drop_void: STQ leaves out pixels without a truth label before anything is counted.
        first_id_is_crowd: STQ treats the first listed truth segment of a video as crowd when it
            is a thing.
        crowd_is_tracked: STQ takes truth that a list calls crowd for an object like any other.
        inlier_ratios: DSTQ thresholds t on max(d / g, g / d).
        max_depth: metres; larger truth depth is clamped to it before comparing; None = never.
        wrap_depth: depth differences wrap around in uint16, as in the published scripts when a
            recent Pillow reads the PNGs.
        pooled_abs_rel: abs_rel is taken over all pixels of a video, then averaged over videos.
        windowed_abs_rel: abs_rel is taken over all pixels of a window, then averaged over windows,
            for every window length.
        resize_depth: predicted depth of another size is resized to that of the truth.
        as_published: whether the quirks of the published script are on.
        decimals: digits after the point in printed percentages.
    """

    name: str
    title: str
    source: str
    metrics: tuple[str, ...]
    windows: tuple[int, ...] = (1,)
    lambdas: tuple[float, ...] = ()
    mean_over: str = "occurring"
    eval_classes: tuple[int, ...] | None = None
    left_out: tuple[int, ...] = ()
    min_truth_pixels: int = 0
    empty_is_missed: bool = False
    last_crowd_only: bool = False
    epsilon: float = 0.0
    nan_without_tp: bool = False
    void_column: bool = False
    drop_void: bool = False
    first_id_is_crowd: bool = False
    crowd_is_tracked: bool = False
    inlier_ratios: tuple[float, ...] = ()
    max_depth: float | None = None
    wrap_depth: bool = False
    pooled_abs_rel: bool = False
    windowed_abs_rel: bool = False
    resize_depth: bool = False
    as_published: bool = False
    decimals: int = 2
    published: dict = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.mean_over not in ("occurring", "all"):
            raise ValueError(f"mean_over must be 'occurring' or 'all', got {self.mean_over!r}")
        if not self.windows or min(self.windows) < 1:
            raise ValueError(f"windows must be lengths >= 1, got {self.windows}")
        if any(not value >= 0 for value in self.lambdas):
            raise ValueError(f"lambdas must be >= 0, got {self.lambdas}")

    def as_script(self) -> Protocol:
        """The published script's behaviour, its quirks included."""
        return replace(self, as_published=True, **self.published)

    @property
    def settings(self) -> tuple[float, ...]:
        """The lambdas that are counted: those of DVPQ if it is wanted, and 0 if VPQ is."""
        lambdas = tuple(dict.fromkeys(self.lambdas)) if "dvpq" in self.metrics else ()
        plain = "vpq" in self.metrics and 0 not in lambdas
        return (*lambdas, 0.0) if plain else lambdas

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Positive lambdas, rising: the borders between depth-error levels."""
        return tuple(sorted({value for value in self.settings if value > 0}))

    @property
    def measures_depth(self) -> bool:
        """Whether depth is measured for its own sake."""
        return "depth" in self.metrics or "dstq" in self.metrics

    @property
    def needs_depth(self) -> bool:
        """Whether frames must come with depth."""
        return self.measures_depth or bool(self.thresholds)


_VPS = Protocol(
    name="cityscapes_vps",
    title="Cityscapes-VPS: VPQ over windows of labelled frames",
    source="Kim et al., Video Panoptic Segmentation, CVPR 2020",
    metrics=("vpq",),
    windows=(1, 2, 3, 4),
    decimals=1,
    published={"last_crowd_only": True},
)
_DVPS = Protocol(
    name="cityscapes_dvps",
    title="Cityscapes-DVPS: DVPQ, relative depth error <= lambda",
    source="Qiao et al., ViP-DeepLab, CVPR 2021",
    metrics=("vpq", "dvpq", "depth"),
    windows=(1, 2, 3, 4),
    lambdas=(0.5, 0.25, 0.1),
    mean_over="all",
    published={"nan_without_tp": True, "pooled_abs_rel": True},
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        replace(
            _VPS,
            name="pq",
            title="PQ on single frames",
            source="Kirillov et al., Panoptic Segmentation, CVPR 2019",
            windows=(1,),
        ),
        _VPS,
        replace(
            _VPS,
            name="viper",
            title="VIPER: VPQ, truth under 32 x 32 pixels skipped, class 11 left out",
            windows=(1, 5, 10, 15),
            left_out=(11,),
            min_truth_pixels=32 * 32,
            published={"last_crowd_only": True, "empty_is_missed": True},
        ),
        replace(
            _VPS,
            name="vipseg",
            title="VIPSeg: VPQ over 1, 2, 4, 6 frames, and STQ",
            source="Miao et al., Large-scale Video Panoptic Segmentation in the Wild, CVPR 2022",
            metrics=("vpq", "stq"),
            windows=(1, 2, 4, 6),
            published={
                "last_crowd_only": True,
                "windows": (1, 2, 4, 6, 8),
                "void_column": True,
                "first_id_is_crowd": True,
                "crowd_is_tracked": True,
            },
        ),
        _DVPS,
        replace(
            _DVPS,
            name="semkitti_dvps",
            title="SemKITTI-DVPS: DVPQ, relative depth error <= lambda",
            windows=(1, 5, 10, 20),
            decimals=1,
            published={"epsilon": 1e-10, "windowed_abs_rel": True},
        ),
        Protocol(
            name="semkitti_dstq",
            title="SemKITTI-DVPS: DSTQ",
            source="Weber et al., STEP, NeurIPS 2021; Qiao et al., ViP-DeepLab, CVPR 2021",
            metrics=("stq", "dstq"),
            drop_void=True,
            inlier_ratios=(1.25,),
            published={"void_column": True, "resize_depth": True},
        ),
        Protocol(
            name="kitti_step",
            title="KITTI-STEP: STQ, and DSTQ where there is depth",
            source="Weber et al., STEP, NeurIPS 2021",
            metrics=("stq",),
            inlier_ratios=(1.25, 1.1),
            published={"void_column": True},
        ),
    )
}


def get_protocol(name: str, *, as_published: bool = False, **changes: Any) -> Protocol:
    """Look a protocol up, optionally as its published script behaves, with some fields changed.

    Raises:
        KeyError: no protocol of that name; the message lists those there are.
    """
    if name not in PROTOCOLS:
        raise KeyError(f"unknown protocol {name!r}; known: {', '.join(sorted(PROTOCOLS))}")
    protocol = PROTOCOLS[name].as_script() if as_published else PROTOCOLS[name]
    return replace(protocol, **changes)
