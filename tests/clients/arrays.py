#!/usr/bin/env python3
"""Arrays over HTTP: zarr, by fsspec.

    arrays.py make DIRECTORY
    arrays.py read URL DIRECTORY

`make` writes arrays in chunks, and in shards, of which a reader wants ranges. `read` reads them
from a server and fails unless they are those in DIRECTORY.
"""

import sys
from pathlib import Path

import numpy
import zarr


def make(directory):
    group = zarr.create_group(str(directory / "tides.zarr"))
    tides = numpy.add.outer(numpy.arange(600), numpy.arange(600)).astype("i4")
    kinds = {
        "plain": {"chunks": (100, 200), "compressors": None},
        "packed": {"chunks": (100, 200)},
        "sharded": {"chunks": (50, 50), "shards": (300, 300), "compressors": None},
    }
    for name, options in kinds.items():
        group.create_array(name, shape=tides.shape, dtype="i4", **options)[:] = tides
    # Most chunks of this one do not exist: they are 404, and filled in.
    sparse = group.create_array("sparse", shape=(600, 600), chunks=(100, 100), dtype="i4", fill_value=7)
    sparse[250:260, 250:260] = 1
    zarr.consolidate_metadata(str(directory / "tides.zarr"))


def read(url, directory):
    local = zarr.open_group(str(directory / "tides.zarr"), mode="r")
    for options in [{}, {"use_consolidated": False}]:
        remote = zarr.open_group(f"{url}/tides.zarr", mode="r", **options)
        for name in ["plain", "packed", "sharded", "sparse"]:
            assert numpy.array_equal(remote[name][:], local[name][:]), name
            part = (slice(120, 310), slice(77, 303))
            assert numpy.array_equal(remote[name][part], local[name][part]), name


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", directory]:
            make(Path(directory))
        case ["read", url, directory]:
            read(url, Path(directory))
        case _:
            sys.exit(__doc__)
