"""Samplers that give each process its part: endless ones for training, one pass for testing."""

import itertools
import logging
import math
from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data.sampler import Sampler

from detectron2.utils import comm

__all__ = [
    "InferenceSampler",
    "RandomSubsetTrainingSampler",
    "RepeatFactorTrainingSampler",
    "TrainingSampler",
]


class _EndlessSampler(Sampler):
    """Rank r of W yields elements r, r + W, ... of an endless sequence that all ranks agree on."""

    def __init__(self, seed: int | None) -> None:
        self._seed = int(comm.shared_random_seed() if seed is None else seed)
        self._rank = comm.get_rank()
        self._world_size = comm.get_world_size()

    def __iter__(self) -> Iterator[int]:
        yield from itertools.islice(self._infinite_indices(), self._rank, None, self._world_size)

    def _infinite_indices(self) -> Iterator[int]:
        raise NotImplementedError


class TrainingSampler(_EndlessSampler):
    """An endless sequence of shuffled epochs.

    It always starts from its beginning: a resumed training sees the same order again.
    """

    def __init__(self, size: int, shuffle: bool = True, seed: int | None = None) -> None:
        """
        Args:
            size: number of records.
            shuffle: whether to draw each epoch's order, or count from 0.
            seed: any integer fixes the sequence (negative ones too); None draws one that the
                processes share.

        Raises:
            TypeError: ``size`` is no int.
            ValueError: ``size`` is not positive.
        """
        if not isinstance(size, int):
            raise TypeError(f"TrainingSampler(size=) expects an int. Got type {type(size)}.")
        if size <= 0:
            raise ValueError(f"TrainingSampler(size=) expects a positive int. Got {size}.")
        super().__init__(seed)
        self._size = size
        self._shuffle = shuffle

    def _infinite_indices(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self._seed)
        while True:
            if self._shuffle:
                yield from torch.randperm(self._size, generator=generator).tolist()
            else:
                yield from range(self._size)


class RandomSubsetTrainingSampler(TrainingSampler):
    """Like `TrainingSampler`, over a random part of the records that never changes."""

    def __init__(
        self,
        size: int,
        subset_ratio: float,
        shuffle: bool = True,
        seed_shuffle: int | None = None,
        seed_subset: int | None = None,
    ) -> None:
        """
        Args:
            size: number of records.
            subset_ratio: share of them to use, in (0, 1].
            shuffle: whether to draw each epoch's order.
            seed_shuffle: seed of the order; None draws one that the processes share.
            seed_subset: seed of the choice; None draws one that the processes share.
        """
        super().__init__(size=size, shuffle=shuffle, seed=seed_shuffle)
        assert 0.0 < subset_ratio <= 1.0, f"subset_ratio must be in (0, 1], got {subset_ratio}"
        self._size_subset = int(size * subset_ratio)
        assert self._size_subset > 0, f"{subset_ratio} of {size} records is less than one"
        generator = torch.Generator()
        generator.manual_seed(
            int(comm.shared_random_seed() if seed_subset is None else seed_subset)
        )
        self._indices = torch.randperm(size, generator=generator)[: self._size_subset]
        logging.getLogger(__name__).info(
            "Using %d of %d records (ratio %s)", self._size_subset, size, subset_ratio
        )

    def _infinite_indices(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self._seed)
        while True:
            if self._shuffle:
                order = torch.randperm(self._size_subset, generator=generator)
                yield from self._indices[order].tolist()
            else:
                yield from self._indices.tolist()


class RepeatFactorTrainingSampler(_EndlessSampler):
    """Like `TrainingSampler`, with records of rare categories repeated within an epoch.

    A factor of 2.3 means two times in each epoch and a third time with probability 0.3.

    Source: LVIS (Gupta et al., 2019, arXiv:1908.03195), appendix B.2.
    """

    def __init__(
        self, repeat_factors: Tensor, *, shuffle: bool = True, seed: int | None = None
    ) -> None:
        """
        Args:
            repeat_factors: (N,) float, per record.
            shuffle: whether to draw each epoch's order.
            seed: of the fractions and the order; None draws one that the processes share.
        """
        super().__init__(seed)
        self._shuffle = shuffle
        self._whole = torch.trunc(repeat_factors)
        self._fraction = repeat_factors - self._whole

    @staticmethod
    def repeat_factors_from_category_frequency(
        dataset_dicts: list[dict], repeat_thresh: float, sqrt: bool = True
    ) -> Tensor:
        """Factors by the rarest category in an image.

        Args:
            dataset_dicts: records with "annotations", each with "category_id".
            repeat_thresh: share of images below which a category is rare.
            sqrt: whether to take the square root of threshold / share.

        Returns:
            (N,) float32, at least 1.
        """
        categories = [
            {annotation["category_id"] for annotation in record["annotations"]}
            for record in dataset_dicts
        ]
        images_with = Counter(itertools.chain.from_iterable(categories))
        factor_of = {}
        for category, count in images_with.items():
            factor = repeat_thresh / (count / len(dataset_dicts))
            factor_of[category] = max(1.0, math.sqrt(factor) if sqrt else factor)
        factors = [
            max((factor_of[category] for category in of_image), default=1.0)
            for of_image in categories
        ]
        return torch.tensor(factors, dtype=torch.float32)

    def _infinite_indices(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self._seed)
        while True:
            drawn = torch.rand(len(self._fraction), generator=generator) < self._fraction
            counts = (self._whole + drawn.float()).long()
            indices = torch.arange(len(counts)).repeat_interleave(counts)
            if self._shuffle:
                indices = indices[torch.randperm(len(indices), generator=generator)]
            yield from indices.tolist()


class InferenceSampler(Sampler):
    """Each record once: process r gets the r-th contiguous part, in order.

    The parts differ by at most one record; the first processes get the longer ones.
    """

    def __init__(self, size: int) -> None:
        """
        Args:
            size: number of records, at least 1.
        """
        assert size > 0, f"InferenceSampler(size=) expects a positive int. Got {size}."
        self._size = size
        self._rank = comm.get_rank()
        self._world_size = comm.get_world_size()
        self._local_indices = self._get_local_indices(size, self._world_size, self._rank)

    @staticmethod
    def _get_local_indices(total_size: int, world_size: int, rank: int) -> range:
        short, longer_ones = divmod(total_size, world_size)
        begin = rank * short + min(rank, longer_ones)
        return range(begin, begin + short + (rank < longer_ones))

    def __iter__(self) -> Iterator[int]:
        yield from self._local_indices

    def __len__(self) -> int:
        return len(self._local_indices)
