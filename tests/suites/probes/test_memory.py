"""The peak of live tensor bytes, exact to the byte for programs worked out by hand."""

import gc

import pytest
import torch
import torch.nn.functional as F

from suites.probes import ProbeError, peak_memory

FLOAT = 4


@pytest.fixture(params=[torch.no_grad, torch.inference_mode, torch.enable_grad], ids=lambda mode: mode.__name__)
def mode(request):
    with request.param():
        yield


@pytest.mark.usefixtures("mode")
class TestOnTheCPU:
    def test_the_peak_is_what_was_live_at_once(self):
        with peak_memory("cpu") as memory:
            a = torch.zeros(100)
            b = torch.zeros(50)
            del a
            c = torch.zeros(60)
        assert memory.peak_bytes == (100 + 50) * FLOAT
        assert memory.live_bytes == (50 + 60) * FLOAT == b.nbytes + c.nbytes
        assert memory.allocations == 3
        assert memory.largest_bytes == 100 * FLOAT

    def test_a_temporary_counts_while_it_is_live(self):
        x = torch.ones(100)
        with peak_memory("cpu") as memory:
            y = (x + 1) * 2
        assert (memory.peak_bytes, memory.live_bytes) == (2 * y.nbytes, y.nbytes)

    def test_a_rebound_name_holds_old_and_new_at_once(self):
        x = torch.ones(10)
        with peak_memory("cpu") as memory:
            x = torch.cat((x, x))
            x = torch.cat((x, x))
        assert (memory.peak_bytes, memory.live_bytes) == ((20 + 40) * FLOAT, 40 * FLOAT)

    def test_views_are_not_counted_twice(self):
        with peak_memory("cpu") as memory:
            x = torch.zeros(4, 25)
            parts = [x[1], x.view(100), x.t(), *x.unbind(), x.detach(), x.expand(3, 4, 25)]
        assert (memory.peak_bytes, memory.allocations) == (100 * FLOAT, 1)
        assert len(parts) == 9

    def test_a_storage_lives_as_long_as_its_last_view(self):
        with peak_memory("cpu") as memory:
            x = torch.zeros(100)
            row = x[:1]
            del x
            assert memory.live_bytes == 100 * FLOAT
            del row
            assert memory.live_bytes == 0

    def test_in_place_operators_add_nothing(self):
        x = torch.zeros(100)
        with peak_memory("cpu") as memory:
            x.add_(1).relu_()
            x[3:5].zero_()
            torch.mul(x, 2, out=x)
        assert (memory.peak_bytes, memory.allocations) == (0, 0)

    def test_what_existed_before_is_not_counted_even_if_it_dies_inside(self):
        weight = torch.zeros(100)
        with peak_memory("cpu") as memory:
            view = weight.view(10, 10)
            view.t()
            del weight, view
            gc.collect()
        assert (memory.peak_bytes, memory.live_bytes, memory.allocations) == (0, 0, 0)

    def test_a_linear_holds_its_output_alone(self):
        x, weight, bias = torch.ones(2, 3, 8), torch.ones(5, 8), torch.ones(5)
        with peak_memory("cpu") as memory:
            y = F.linear(x, weight, bias)
        assert (memory.peak_bytes, memory.live_bytes, memory.allocations) == (y.nbytes, y.nbytes, 1)

    def test_tensors_made_of_python_data_count(self):
        with peak_memory("cpu") as memory:
            x = torch.tensor([1, 2, 3])
        assert memory.live_bytes == x.nbytes == 24

    def test_a_tensor_that_is_resized_counts_with_its_new_size(self):
        with peak_memory("cpu") as memory:
            x = torch.empty(2)
            torch.arange(10, out=torch.empty(0, dtype=torch.int64))
            x.resize_(30)
        assert (memory.live_bytes, memory.peak_bytes) == (30 * FLOAT, 30 * FLOAT)

    def test_the_figures_outlive_an_error(self):
        memory = peak_memory("cpu")

        def run_out():
            x = torch.zeros(100)
            raise MemoryError(x)

        with pytest.raises(MemoryError), memory:
            run_out()
        assert memory.peak_bytes == memory.live_bytes == 100 * FLOAT

    def test_what_dies_after_the_exit_changes_nothing(self):
        with peak_memory("cpu") as memory:
            x = torch.zeros(100)
        del x
        torch.zeros(1000)
        assert (memory.peak_bytes, memory.live_bytes, memory.allocations) == (400, 400, 1)


def test_the_scores_that_the_math_attention_writes_are_seen_under_inference_mode_too():
    q = torch.ones(1, 2, 3, 4)
    masked = torch.ones(3, 3)
    peaks = []
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), peak_memory("cpu") as memory, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            F.scaled_dot_product_attention(q, q, q, attn_mask=masked)
        peaks.append(memory.peak_bytes)
    assert peaks[0] == peaks[1] > q.nbytes


def test_a_device_without_a_figure_is_refused():
    with pytest.raises(ProbeError, match=r"cannot measure memory on device 'meta'; known: cpu, cuda"):
        peak_memory("meta")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; torch finds none")
def test_on_cuda_the_allocator_gives_the_same_figures():
    before = torch.zeros(1 << 20, device="cuda")
    with peak_memory("cuda") as memory:
        a = torch.zeros(1 << 20, device="cuda")
        b = torch.zeros(1 << 18, device="cuda")
        del a
    assert memory.peak_bytes == (1 << 22) + (1 << 20)
    assert memory.live_bytes == b.nbytes
    assert memory.allocations == 2
    assert before.nbytes == 1 << 22
