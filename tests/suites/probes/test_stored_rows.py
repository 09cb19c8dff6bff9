"""What a store does with rows of K and V, against bytes that were worked out by hand."""

import pytest
import torch
from torch import nn

from suites.probes import record
from suites.probes.stored_rows import Rows

B, G, C, K = 2, 3, 8, 4
ROW = B * G * K  # elements of one row


class Region(nn.Module):
    """A module whose method ``append`` runs what it is given, as attention runs a store."""

    probe_regions = ("append",)

    def append(self, run, new):
        return run(new)


def rows(run) -> Rows:
    """What one call does, which gets a new row of floats."""
    module = Region()
    with torch.no_grad(), record(module) as recording:
        module.append(run, torch.ones(B, G, 1, K))
    return Rows(*map(sum, zip(Rows(), *(found.rows for found in recording.rows), strict=True)))


@pytest.fixture
def held():
    return torch.ones(B, G, C, K)


@pytest.fixture
def codes():
    return torch.ones(B, G, C, K, dtype=torch.int8)


@pytest.fixture
def scales():
    return torch.ones(B, G, C, 1)


def test_a_row_written_in_place_is_new(held):
    assert rows(lambda new: held.index_copy_(2, torch.tensor([1]), new)) == Rows(new=4 * ROW)


def test_concatenation_copies_what_was_there_and_takes_what_is_new(held):
    assert rows(lambda new: torch.cat((held, new), 2)) == Rows(new=4 * ROW, copied=C * 4 * ROW)


def test_a_row_that_was_taken_is_stored_and_copied_when_it_is_read_again(held):
    def run(new):
        kept = new.clone()
        return torch.cat((held, kept), 2)

    assert rows(run) == Rows(new=4 * ROW, copied=(C + 1) * 4 * ROW)


def test_a_page_that_was_made_in_the_call_is_stored_once_a_row_lies_in_it(held):
    def run(new):
        page = new.new_zeros(B, G, 2, K)
        page[:, :, :1] = new
        return torch.cat((held, page), 2)

    assert rows(run) == Rows(new=4 * ROW, copied=(C + 2) * 4 * ROW)


def test_codes_and_a_scale_are_new_in_the_bytes_in_which_they_persist(codes, scales):
    def run(new):
        scale = new.abs().amax(-1, keepdim=True) / 127
        codes.index_copy_(2, torch.tensor([1]), (new / scale).round().to(torch.int8))
        scales.index_copy_(2, torch.tensor([1]), scale)

    assert rows(run) == Rows(new=ROW + 4 * B * G)


@pytest.mark.parametrize(
    "run",
    [
        lambda codes, scales: codes * scales,
        lambda codes, scales: codes.float() * scales,
        lambda codes, scales: codes.float().mul_(scales),
        lambda codes, scales: torch.mul(codes, scales, out=torch.empty(B, G, C, K)),
        lambda codes, scales: codes[:, :, :, :K].sub(3) * scales,
    ],
)
def test_codes_times_scales_are_expanded_rows(run, codes, scales):
    read = C * (ROW + 4 * B * G)
    assert rows(lambda new: run(codes, scales)) == Rows(expanded_read=read, expanded_written=C * 4 * ROW)


def in_halves(codes, scales):
    found = torch.empty(B, G, C, 2 * K)
    torch.mul(codes & 15, scales, out=found[..., :K])
    torch.mul(codes >> 4, scales, out=found[..., K:])
    return found


@pytest.mark.parametrize(
    "run",
    [
        in_halves,
        lambda codes, scales: torch.stack((codes & 15, codes >> 4), -1).flatten(-2) * scales,
        lambda codes, scales: torch.cat(((codes & 15) * scales, (codes >> 4) * scales), -1),
    ],
)
def test_packed_codes_are_read_once_however_they_are_unpacked(run, codes, scales):
    read = C * (ROW + 4 * B * G)
    assert rows(lambda new: run(codes, scales)) == Rows(expanded_read=read, expanded_written=C * 8 * ROW)


def test_gathered_codes_are_copied_and_then_expanded(codes, scales):
    at = torch.tensor([3, 0])
    found = rows(lambda new: codes[:, :, at] * scales[:, :, :2])
    assert found == Rows(copied=2 * ROW, expanded_read=2 * (ROW + 4 * B * G), expanded_written=2 * 4 * ROW)


def test_views_and_positions_are_nothing(held):
    position = torch.tensor([5])
    assert rows(lambda new: (held[:, :, :3].flatten(0, 1), position % 3 + torch.arange(2))) == Rows()
