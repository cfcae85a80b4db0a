"""Data sets made from other data sets: lists, mapped, iterated by a sampler, grouped."""

import copy
import itertools
import logging
import pickle
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.utils.data as torchdata

from detectron2.utils.serialize import PicklableWrapper

__all__ = ["AspectRatioGroupedDataset", "DatasetFromList", "MapDataset", "ToIterableDataset"]

_RETRIES_BEFORE_WARNING = 3


class _PackedList:
    """A read-only list whose elements are pickled into one array.

    Worker processes are forked. Reading a Python object changes its reference count and so copies
    the memory page it is on; one big array stays shared. Each access unpickles a fresh object.
    """

    def __init__(self, elements: Sequence[Any]) -> None:
        logger = logging.getLogger(__name__)
        packed = [
            np.frombuffer(pickle.dumps(element, protocol=-1), dtype=np.uint8)
            for element in elements
        ]
        ends = np.cumsum([len(item) for item in packed], dtype=np.int64)
        self._ends = torch.from_numpy(ends)
        self._data = torch.from_numpy(np.concatenate(packed))
        logger.info("%d records take %.2f MiB", len(packed), len(self._data) / 1024**2)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Any:
        start = 0 if index == 0 else self._ends[index - 1].item()
        return pickle.loads(memoryview(self._data[start : self._ends[index].item()].numpy()))


class DatasetFromList(torchdata.Dataset):
    """A list as a map-style data set."""

    def __init__(
        self,
        lst: list,
        copy: bool = True,
        serialize: bool | Callable[[list], Sequence] = True,
    ) -> None:
        """
        Args:
            lst: the elements; at least one when they are serialized.
            copy: deep-copy an element when it is read, so that it can be changed. Without effect
                on serialized elements, which are fresh anyway.
            serialize: keep the elements pickled in one array, which saves memory when workers are
                forked; or a function from the list to a sequence that does such a thing.
        """
        assert isinstance(serialize, (bool, Callable)), f"{serialize=} must be bool or callable"
        self._copy = copy and not serialize
        if callable(serialize):
            self._lst: Sequence = serialize(lst)
        else:
            self._lst = _PackedList(lst) if serialize else lst

    def __len__(self) -> int:
        return len(self._lst)

    def __getitem__(self, idx: int) -> Any:
        element = self._lst[idx]
        return copy.deepcopy(element) if self._copy else element


class _MappedIterable(torchdata.IterableDataset):
    """A function over an iterable data set; elements for which it returns None are left out."""

    def __init__(self, dataset: Iterable, map_func: Callable[[Any], Any]) -> None:
        self._dataset = dataset
        self._map_func = PicklableWrapper(map_func)

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Any]:
        for element in map(self._map_func, self._dataset):
            if element is not None:
                yield element


class MapDataset(torchdata.Dataset):
    """A function over the elements of a data set.

    Where the function returns None (a broken record), a random other element takes the place. On
    an IterableDataset, the constructor returns an iterable data set that leaves such elements out.
    """

    def __new__(cls, dataset: Any, map_func: Callable[[Any], Any]) -> Any:
        if isinstance(dataset, torchdata.IterableDataset):
            return _MappedIterable(dataset, map_func)
        return super().__new__(cls)

    def __getnewargs__(self) -> tuple:
        return self._dataset, self._map_func

    def __init__(self, dataset: Any, map_func: Callable[[Any], Any]) -> None:
        """
        Args:
            dataset: map-style or iterable.
            map_func: one element -> one element or None. May be a closure: it is pickled with
                cloudpickle.
        """
        self._dataset = dataset
        self._map_func = PicklableWrapper(map_func)
        self._rng = random.Random(42)
        self._candidates = set(range(len(dataset)))  # indices not known to give None

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, idx: int) -> Any:
        current = int(idx)
        for retries in itertools.count(1):
            element = self._map_func(self._dataset[current])
            if element is not None:
                self._candidates.add(current)
                return element
            self._candidates.discard(current)
            current = self._rng.sample(list(self._candidates), k=1)[0]
            if retries >= _RETRIES_BEFORE_WARNING:
                logging.getLogger(__name__).warning(
                    "Record %s and %d others gave None; trying another one", idx, retries - 1
                )
        raise AssertionError("unreachable")


class ToIterableDataset(torchdata.IterableDataset):
    """The elements of a map-style data set in the order of a sampler.

    The DataLoader then takes no sampler, and an endless one needs no length. Workers share the
    sampler's output in turns.
    """

    def __init__(
        self,
        dataset: torchdata.Dataset,
        sampler: torchdata.Sampler,
        shard_sampler: bool = True,
        shard_chunk_size: int = 1,
    ) -> None:
        """
        Args:
            dataset: map-style.
            sampler: yields the same indices in every worker.
            shard_sampler: give each worker its share. False when the sampler does that itself.
            shard_chunk_size: how many consecutive indices go to a worker at a time; the batch size
                keeps batches as they would be without workers.
        """
        assert not isinstance(dataset, torchdata.IterableDataset), dataset
        assert isinstance(sampler, torchdata.Sampler), sampler
        self.dataset = dataset
        self.sampler = sampler
        self.shard_sampler = shard_sampler
        self.shard_chunk_size = shard_chunk_size

    def __iter__(self) -> Iterator[Any]:
        indices: Iterable[int] = self.sampler
        if self.shard_sampler:
            indices = _share_of_worker(indices, self.shard_chunk_size)
        for index in indices:
            yield self.dataset[index]

    def __len__(self) -> int:
        return len(self.sampler)


def _share_of_worker(indices: Iterable[int], chunk_size: int) -> Iterable[int]:
    """The chunks of a sequence that are this worker's; all of it outside worker processes."""
    info = torchdata.get_worker_info()
    if info is None or info.num_workers == 1:
        return indices
    return (
        index
        for position, index in enumerate(indices)
        if position // chunk_size % info.num_workers == info.id
    )


class AspectRatioGroupedDataset(torchdata.IterableDataset):
    """Batches of elements with one orientation, to waste less padding.

    There are two groups, ``width > height`` and the rest. An incomplete batch waits for the next
    pass over the data. It has no length.
    """

    def __init__(self, dataset: Iterable[dict], batch_size: int) -> None:
        """
        Args:
            dataset: yields dicts with "width" and "height".
            batch_size: elements per batch.
        """
        self.dataset = dataset
        self.batch_size = batch_size
        self._groups: tuple[list[dict], list[dict]] = ([], [])

    def __iter__(self) -> Iterator[list[dict]]:
        for element in self.dataset:
            group = self._groups[0 if element["width"] > element["height"] else 1]
            group.append(element)
            if len(group) == self.batch_size:
                batch = group[:]
                # Before yielding: the consumer may stop here and come back with a new iterator.
                group.clear()
                yield batch
