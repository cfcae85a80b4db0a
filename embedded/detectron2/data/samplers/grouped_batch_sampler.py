"""Batches whose elements belong to one group."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NoReturn

from torch.utils.data.sampler import BatchSampler, Sampler

__all__ = ["GroupedBatchSampler"]


class GroupedBatchSampler(BatchSampler):
    """Collect the indices of a sampler into batches of equal group id.

    A batch is yielded when it is full; incomplete ones wait for the next pass over the sampler.
    """

    def __init__(self, sampler: Sampler, group_ids: Sequence[int], batch_size: int) -> None:
        """
        Args:
            sampler: yields indices.
            group_ids: group of each index.
            batch_size: indices per batch.

        Raises:
            ValueError: ``sampler`` is no torch Sampler.
        """
        if not isinstance(sampler, Sampler):
            raise ValueError(f"sampler must be a torch Sampler, got {type(sampler)}")
        self.sampler = sampler
        self.group_ids = group_ids
        self.batch_size = batch_size
        self._groups: dict[int, list[int]] = defaultdict(list)

    def __iter__(self) -> Iterator[list[int]]:
        for index in self.sampler:
            group = self._groups[self.group_ids[index]]
            group.append(index)
            if len(group) == self.batch_size:
                batch = group[:]
                group.clear()
                yield batch

    def __len__(self) -> NoReturn:
        raise NotImplementedError("How many batches become full is not known before")
