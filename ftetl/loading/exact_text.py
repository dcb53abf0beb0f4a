"""Times and decimals as text that holds every digit, by Arrow's kernels."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def time_text(array: Any) -> Any:
    """Times in UTC as ISO 8601 with `Z`, with as many digits of the second as the type has."""
    # Without the zone: Arrow would look UTC up in a time zone database, which a small container may not have.
    plain = array.view(pa.timestamp(array.type.unit)).cast(pa.string())
    return pc.binary_join_element_wise(pc.replace_substring(plain, pattern=" ", replacement="T"), "Z", "")


def decimal_units(array: Any) -> Any:
    """Decimals as whole numbers of their smallest unit: the same bytes with no places."""
    return array.view(pa.decimal128(38, 0))


def decimal_text(array: Any) -> Any:
    """All digits, never an exponent: Arrow's own text of 0 with nine places is `0E-9`."""
    places = array.type.scale
    units = decimal_units(array)
    digits = pc.utf8_lpad(pc.abs(units).cast(pa.string()), width=places + 1, padding="0")
    sign = pc.if_else(pc.less(units, pa.scalar(0, units.type)), "-", "")
    if not places:
        return pc.binary_join_element_wise(sign, digits, "")
    integer = pc.utf8_slice_codeunits(digits, start=0, stop=-places)
    fraction = pc.utf8_slice_codeunits(digits, start=-places)
    return pc.binary_join_element_wise(pc.binary_join_element_wise(sign, integer, ""), fraction, ".")
