#!/usr/bin/env python3
"""Tables over HTTP: pyarrow and pandas, by fsspec.

    tables.py make DIRECTORY
    tables.py read URL DIRECTORY

`make` writes tables. `read` reads them from a server in the ways that people do, and fails unless
each is the one in DIRECTORY.
"""

import io
import sys
from pathlib import Path

import fsspec
import numpy
import pandas
import pyarrow.dataset
import pyarrow.parquet

ROWS = 60_000


def make(directory):
    dice = numpy.random.default_rng(1)
    frame = pandas.DataFrame(
        {
            "number": numpy.arange(ROWS),
            "value": dice.integers(0, 1000, ROWS) / 8,
            "word": dice.choice(["high water", "low water", "slack"], ROWS),
            "noise": dice.integers(0, 2**62, ROWS),
        }
    )
    for compression in ["none", "snappy"]:
        path = directory / f"{compression}.parquet"
        frame.to_parquet(path, compression=compression, row_group_size=10_000)
    frame.to_csv(directory / "table.csv", index=False)
    frame.head(2000).to_json(directory / "table.json", orient="records")
    frame.to_feather(directory / "table.arrow", compression="uncompressed")


def read(url, directory):
    files = fsspec.filesystem("http")
    for name in ["none.parquet", "snappy.parquet"]:
        whole = pyarrow.parquet.read_table(directory / name)
        assert pyarrow.parquet.read_table(f"{url}/{name}", filesystem=files) == whole, name
        # One column of a few row groups: the footer, then ranges in the middle.
        with files.open(f"{url}/{name}", block_size=2**16) as file:
            part = pyarrow.parquet.ParquetFile(file).read_row_groups([1, 4], columns=["value"])
        local = pyarrow.parquet.ParquetFile(directory / name)
        assert part == local.read_row_groups([1, 4], columns=["value"]), name
        found = pyarrow.dataset.dataset(f"{url}/{name}", filesystem=files)
        rows = found.to_table(filter=pyarrow.dataset.field("number") > 55_000)
        assert rows.num_rows == ROWS - 55_001, name
        pandas.testing.assert_frame_equal(pandas.read_parquet(f"{url}/{name}"), whole.to_pandas())
    frame = pandas.read_csv(directory / "table.csv")
    for options in [{}, {"storage_options": {"Accept-Encoding": "gzip"}}]:
        pandas.testing.assert_frame_equal(pandas.read_csv(f"{url}/table.csv", **options), frame)
    with fsspec.open(f"{url}/table.csv", block_size=2**16) as file:
        pandas.testing.assert_frame_equal(pandas.read_csv(file), frame)
    pandas.testing.assert_frame_equal(
        pandas.read_json(f"{url}/table.json"), pandas.read_json(directory / "table.json")
    )
    pandas.testing.assert_frame_equal(
        pandas.read_feather(io.BytesIO(files.cat_file(f"{url}/table.arrow"))),
        pandas.read_feather(directory / "table.arrow"),
    )
    with files.open(f"{url}/table.arrow", block_size=2**16) as file:
        pandas.testing.assert_frame_equal(
            pandas.read_feather(file), pandas.read_feather(directory / "table.arrow")
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", directory]:
            make(Path(directory))
        case ["read", url, directory]:
            read(url, Path(directory))
        case _:
            sys.exit(__doc__)
