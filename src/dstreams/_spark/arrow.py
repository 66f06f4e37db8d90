"""Rows to Arrow tables and back, with the values that ``collect()`` and ``createDataFrame`` know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql.conversion import ArrowTableToRowsConversion, LocalDataToArrowConversion

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

__all__ = ["rows_of_table", "table_of_rows"]


def rows_of_table(table: pa.Table, schema: StructType) -> list[Any]:
    """Rows of a table, with the values that ``DataFrame.collect()`` gives."""
    return ArrowTableToRowsConversion.convert(table, schema)


def table_of_rows(rows: list[Any], schema: StructType) -> pa.Table:
    """Table of tuples, dicts or Rows with the fields of a schema."""
    return LocalDataToArrowConversion.convert(rows, schema, False)
