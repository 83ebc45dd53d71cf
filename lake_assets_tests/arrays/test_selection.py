"""Which bytes a selection needs: all of the box, in few pieces of bounded size."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lake_assets.arrays.selection import box_of, plan_hulls


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_hulls_hold_exactly_the_box(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=6))
    selection = data.draw(hnp.basic_indices(shape, allow_newaxis=False))
    array = np.arange(np.prod(shape), dtype="<i2").reshape(shape)
    expected = array[selection]
    box = box_of(selection if isinstance(selection, tuple) else (selection,), shape)
    cheap = data.draw(st.sampled_from([0, 10, 1000]))
    most = data.draw(st.sampled_from([2, 7, 60, 10**9]))
    result = np.empty(box.shape, "<i2")
    if result.size:
        plan = plan_hulls(box, shape, 2, request_bytes=cheap, most_bytes=most)
        for hull in plan.pieces(box):
            assert hull.n_bytes <= plan.n_bytes <= most
            body = array.tobytes()[hull.start : hull.start + hull.n_bytes]
            strides = plan.strides[len(shape) - len(hull.shape) :]
            part = np.ndarray(hull.shape, "<i2", buffer=body, strides=strides)
            result[hull.index] = part
    assert np.array_equal(result[box.inner], expected)


def test_many_columns_of_few_bytes_are_read_row_by_row_only_where_that_is_cheaper():
    limits = {"request_bytes": 10**5, "most_bytes": 10**8}
    far = plan_hulls(box_of(np.s_[..., :200], (100, 10**6)), (100, 10**6), 4, **limits)
    near = plan_hulls(box_of(np.s_[..., :200], (100, 400)), (100, 400), 4, **limits)
    assert (far.depth, far.n_bytes) == (1, 800)
    assert near.depth == 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_bytes_that_nobody_asked_for_cost_less_than_the_requests_that_they_save(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=400))
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in shape]
    box = box_of(tuple(slice(low, max(high, low + 1)) for low, high in ends), shape)
    if 0 in box.shape:
        return
    request_bytes = data.draw(st.sampled_from([0, 16 * 1024, 32 * 1024]))
    plan = plan_hulls(box, shape, 4, request_bytes=request_bytes, most_bytes=10**12)
    hulls = int(np.prod(box.shape[: plan.depth]))
    needed = int(np.prod(box.shape)) * 4
    rows = int(np.prod(box.shape[:-1]))  # one by one: nothing between them is read
    assert hulls * plan.n_bytes - needed <= request_bytes * (rows - min(hulls, rows))
