"""Arrow values in the shapes that Polars and a lake table know.

Belongs here: what Arrow has and Polars lacks or prints with a loss. Does not: the types of a lake
(``parquet_rows``), nor reading.
"""

import pyarrow as pa

__all__ = ["EMPTY_FIELD", "storable"]

#: The one field, always null, of a struct without fields: neither parquet nor Delta stores those.
EMPTY_FIELD = "_empty"


def storable(values: pa.Array) -> pa.Array:
    """The same values; maps as lists of key and value, times of day as text, UUIDs as bytes.

    Example:
        >>> storable(pa.array([{}, None], pa.struct([]))).to_pylist()
        [{'_empty': None}, None]
    """
    dtype = _storable_type(values.type)
    return values if dtype == values.type else values.cast(dtype)


def _storable_type(dtype: pa.DataType) -> pa.DataType:
    if isinstance(dtype, pa.BaseExtensionType):
        return _storable_type(dtype.storage_type)
    if pa.types.is_map(dtype):
        key = pa.field("key", _storable_type(dtype.key_type), nullable=False)
        value = pa.field("value", _storable_type(dtype.item_type))
        return pa.list_(pa.struct([key, value]))
    if pa.types.is_struct(dtype):
        fields = [field.with_type(_storable_type(field.type)) for field in dtype]
        return pa.struct(fields or [pa.field(EMPTY_FIELD, pa.bool_())])
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        list_ = pa.list_ if pa.types.is_list(dtype) else pa.large_list
        return list_(dtype.value_field.with_type(_storable_type(dtype.value_type)))
    if pa.types.is_decimal256(dtype):
        return pa.decimal128(dtype.precision, dtype.scale)
    return pa.string() if pa.types.is_time(dtype) else dtype
