"""Cross-attention K/V of half of the source, once the first steps have shown which half is attended."""

from dataclasses import dataclass

from .contiguous_kv import ContiguousKV
from .models.stores import CachedCross
from .strategy import StrategyError, register


class CutCross(CachedCross):
    def __init__(self, project, memory_BSD, observe):
        k_BGSK, v_BGSK = project(memory_BSD)
        self._kv = k_BGSK.contiguous(), v_BGSK.contiguous()
        self._attended_BS, self._bias, self._left = 0, None, observe

    def get(self, q_BHTK, bias):
        k_BGSK, v_BGSK = self._kv
        sources, heads, keys, size = k_BGSK.shape
        if self._left:
            self._left -= 1
            beams = q_BHTK.shape[0] // sources
            q_BGXK = q_BHTK.unflatten(0, (-1, beams)).unflatten(2, (heads, -1)).transpose(1, 2).flatten(2, -2)
            score_BGXS = q_BGXK @ k_BGSK.transpose(2, 3)
            score_BGXS = score_BGXS if bias is None else score_BGXS + bias
            self._attended_BS = self._attended_BS + score_BGXS.softmax(-1).sum((1, 2))
        elif self._attended_BS is not None:
            kept_BM = self._attended_BS.topk(-(-keys // 2)).indices.sort().values
            at_BGMK = kept_BM[:, None, :, None].expand(-1, heads, -1, size)
            self._kv = k_BGSK.gather(2, at_BGMK), v_BGSK.gather(2, at_BGMK)
            self._bias = None if bias is None else bias.gather(3, kept_BM[:, None, None])
            self._attended_BS = None
        return *self._kv, bias if self._attended_BS is not None else self._bias


@register("cut_cross_kv")
@dataclass(frozen=True)
class CutCrossKV(ContiguousKV):
    """Self-attention K/V grow by concatenation; what is lost is the half of the source that was attended least."""

    exact = False
    observe: int = 2

    def __post_init__(self):
        if self.cross == "recompute" or self.cross_beams != "shared":
            raise StrategyError("cut_cross_kv: give cross=cached and cross_beams=shared, or leave them out")

    @property
    def supports(self):
        return frozenset({"eager"})

    def cross_kv(self, project, memory_BSD):
        return CutCross(project, memory_BSD, self.observe)

    def cross_keys_read(self, k, src_len):
        return src_len if k <= self.observe else -(-src_len // 2)

    def cross_keys_observed(self, k, src_len):
        return src_len if k <= self.observe else 0
