"""The parts of a decoder layer on a canvas: both attentions, feed-forward, and what follows the last layer."""

from __future__ import annotations

from dataclasses import replace

from .canvas import LINE_IN, Box, Canvas, Point
from .flow import Layer, Operation
from .tensor import Tensor

WIDTH, GUTTER, LEFT = 3.54, 0.16, 0.08
HEIGHT, BAND = 4.62, 1.3
"""Heights of an attention panel, and of the row of panels below."""
SPINE, SIDE = 1.04, 2.74
"""Distances of the centres of the two columns of boxes from the left of a panel."""
_KEY_X, _NEW_X = 2.56, 2.74
_ENTRY, _QUERY, _SCORES, _CONTEXT, _OUT, _PLUS = 0.36, 0.87, 1.78, 2.88, 3.85, 4.43
_ROOM = WIDTH - _NEW_X - 0.1


def _product(canvas: Canvas, at: Box, operation: Operation) -> None:
    times = operation.grows_with.split()
    letters = "".join(dict.fromkeys(times)) if len(set(times)) == len(times) else f"{times[0]}²"
    badge = {"grows": f"grows with {letters}", "S": "depends on S", "C": "set by C", "": ""}[operation.mark]
    shapes = [f"{a} x {b}" for a, b in (
        (operation.left.in_letters, operation.right.in_letters),
        (operation.left.in_numbers, operation.right.in_numbers),
    )]  # fmt: skip
    canvas.box(at, operation.role, shapes, operation.mark, badge, operation.once)


def _attention(canvas: Canvas, corner: Point, layer: Layer, part: str, first: str) -> None:
    """Draw the column of queries: the input, the four products, and the residual connection to the sum."""
    left, top = corner
    x = left + SPINE
    at = {
        name: Box(x, top - y, 1.64)
        for name, y in ((first, _QUERY), ("scores", _SCORES), ("context", _CONTEXT), ("out", _OUT))
    }
    entering = layer[f"{part}.{first}"].left
    entry, plus, lane = top - _ENTRY, top - _PLUS, left + 0.1
    canvas.edge([(left - GUTTER / 2, entry), (x, entry), at[first].top], entering.mark)
    canvas.edge([(lane, entry), (lane, plus), (x - 0.09, plus)], entering.mark)
    canvas.label((x + 0.07, entry - 0.01), entering, 1.5)
    for name, box in at.items():
        _product(canvas, box, layer[f"{part}.{name}"])
    scores, context, out = (layer[f"{part}.{name}"] for name in ("scores", "context", "out"))
    canvas.edge([at[first].bottom, at["scores"].top], scores.left.mark)
    canvas.label((x + 0.07, (at[first].bottom[1] + at["scores"].top[1]) / 2), scores.left, 0.75, "Q")
    canvas.edge([at["scores"].bottom, at["context"].top], scores.result.mark)
    canvas.pill((x, at["scores"].bottom[1] - 0.12), "softmax", scores.result.mark)
    canvas.label((x + 0.07, at["context"].top[1] + 0.21), scores.result, 0.75)
    canvas.edge([at["context"].bottom, at["out"].top], context.result.mark)
    merged = (at["context"].bottom[1] + at["out"].top[1]) / 2
    canvas.label((x + 0.07, merged), context.result, 0.75)
    canvas.label((x + 0.9, merged), out.left, 0.85, "=")
    canvas.edge([at["out"].bottom, (x, plus + 0.09)], out.result.mark)
    canvas.plus((x, plus), out.result.mark)


def _read(canvas: Canvas, corner: Point, store: Box, kept: Tensor, key: Point, value: Point) -> None:
    """Draw the edges of K and V from where they are kept into scores and context."""
    x = corner[0] + _KEY_X
    for name, end, start, side in (("K", key, store.top, "above"), ("V", value, store.bottom, "below")):
        canvas.edge([(x, start[1]), (x, end[1]), end], kept.mark)
        canvas.label((end[0] + 0.1, end[1] + (0.05 if side == "above" else -0.05)), kept, x - end[0] - 0.12, name,
                     "above" if side == "above" else "below")  # fmt: skip


def _ends(corner: Point) -> tuple[Point, Point]:
    x = corner[0] + SPINE + 0.82
    return (x, corner[1] - _SCORES), (x, corner[1] - _CONTEXT)


def self_attention(canvas: Canvas, corner: Point, layer: Layer) -> None:
    """Draw self-attention: queries on the left; on the right K and V, with new ones that join those that are kept."""
    left, top = corner
    canvas.panel(corner, WIDTH, HEIGHT, f"1  self-attention, in each of {layer.layers} layers")
    _attention(canvas, corner, layer, "self", "qkv")
    canvas.note((left + 0.16, top - _ENTRY - 0.1), ["layer input"], SPINE - 0.2)
    store = Box(left + SIDE, top - (_SCORES + _CONTEXT) / 2, 1.5, 0.6)
    size = layer.keys.letters[-2]
    if not layer.remembers:
        name, notes = "K, V: not kept", [f"all {size} rows {'made at once' if layer.k is None else 'again'}"]
    else:
        name, notes = "K, V: kept", _about_kept(layer)
    lines = [f"each {layer.keys.in_letters}", layer.keys.in_numbers, *notes]
    store = replace(store, height=store.height + LINE_IN * (len(notes) - 1))
    canvas.box(store, name, lines, layer.keys.mark, kept=True)
    new = layer.new
    start = left + SPINE + 0.82, top - _QUERY
    canvas.edge([start, (left + _NEW_X, start[1]), (left + _NEW_X, store.top[1])], new.mark)
    canvas.label(
        (left + _NEW_X + 0.07, top - (_QUERY + _SCORES) / 2 + 0.1),
        new,
        _ROOM,
        note="new K, V, each" if layer.remembers else "K, V, each",
    )
    _read(canvas, corner, store, layer.keys, *_ends(corner))
    canvas.note((left + 1.98, top - _OUT + 0.12), _about_self(layer), WIDTH - 2.02)


def _about_kept(layer: Layer) -> list[str]:
    """Say what happens to the rows of K and V that were kept before the step, one or two lines."""
    found = []
    if layer.moved:
        found.append(f"moves {layer.moved} old rows of each")
    elif layer.keys.mark == "C":
        found.append("whole buffer read")
    if layer.reordered:
        found.append(f"{layer.reordered} rows of each reordered")
    if layer.gathered:
        found.append(f"{'table reordered, ' if layer.has_table else ''}{layer.gathered} rows gathered")
    return found or ["no old row is moved"]


def _about_self(layer: Layer) -> list[str]:
    fed, keys = layer.new.numbers[-2], layer.keys.numbers[-2]
    if layer.k is None:
        return [f"All {keys} target rows at", "once; a mask hides later", "tokens from earlier ones."]
    if layer.keys.mark == "C":
        return [f"All {keys} rows of the", "buffer are read; a mask", f"hides the {keys - layer.k} not yet written."]
    if layer.k == 1:
        return ["The first token: there is", "nothing before it."]
    if not layer.remembers and layer.k == layer.first:
        return [f"The first step: all {keys} tokens", "of the prefix are fed."]
    if not layer.remembers:
        return [f"Of these {keys} rows, {keys - 1} were", "computed at the step before,", "with the same result."]
    lines = [f"{fed} new query meets the", f"K, V of all {keys} tokens so far:", f"{keys - fed} are remembered"]
    if layer.beams > 1:
        lines = [f"{fed} new query of each beam", f"meets K, V of all {keys} tokens", f"so far: {lines[-1]}"]
    if layer.prefilled and keys == layer.k:
        since = "all" if layer.k == layer.first else f"{layer.prefilled} of them"
        lines = [*lines[:-1], f"{lines[-1]},", f"{since} from prefill"]
    return [*lines[:-1], f"{lines[-1]}."]


def cross_attention(canvas: Canvas, corner: Point, layer: Layer) -> None:
    """Draw cross-attention: as self-attention, but K and V are projected from the source, once or at every step."""
    left, top = corner
    canvas.panel(corner, WIDTH, HEIGHT, "2  cross-attention to the source")
    _attention(canvas, corner, layer, "cross", "q")
    project, kept = layer["cross.kv"], layer["cross.scores"].right.swapped()
    made = Box(left + SIDE, top - _QUERY - 0.06, 1.5)
    store = Box(left + SIDE, top - (_SCORES + _CONTEXT) / 2, 1.5, 0.6 + (LINE_IN if layer.beams > 1 else 0))
    _product(canvas, made, project)
    canvas.edge([(left + _NEW_X, top - 0.2), made.top], project.left.mark, project.once)
    canvas.label((left + _NEW_X + 0.07, top - 0.38), project.left, _ROOM, note="encoder")
    canvas.edge([(left + _NEW_X, made.bottom[1]), (left + _NEW_X, store.top[1])], kept.mark, project.once)
    canvas.label((left + _NEW_X + 0.07, (made.bottom[1] + store.top[1]) / 2), kept, _ROOM, note="K, V, each")
    note = "made once, read at every step" if project.once else "made again at every step"
    lines = [f"each {kept.in_letters}", kept.in_numbers, note if layer.k is not None else "made once a sentence"]
    if layer.beams > 1:
        of_each = "a copy each, reordered" if layer.cross_reordered else "a copy for each beam"
        lines.append(f"shared by {layer.beams} beams" if layer.cross_shared else of_each)
    name = "K, V: kept" if project.once else "K, V: not kept"
    canvas.box(store, name, lines, kept.mark, once=project.once, kept=True)
    _read(canvas, corner, store, kept, *_ends(corner))
    if layer.k is None:
        about = ["One pass over the source", "serves all target rows."]
    elif project.once:
        about = ["The source is the same at", "every step, so its K, V", "are made once."]
    else:
        about = ["The source is the same at", "every step, and yet its K, V", "are made again."]
    if layer.beams > 1 and layer.cross_shared:
        about += ["All beams of a sentence are", "rows of one product."]
    canvas.note((left + 1.98, top - _OUT + 0.12), about, WIDTH - 2.02)


def between(canvas: Canvas, first: Point, second: Point, band: Point, layer: Layer) -> None:
    """Draw the edges from the sum of each attention panel to the next part."""
    for left, part in ((first[0], "self"), (second[0], "cross")):
        tensor = layer[f"{part}.out"].result
        start = left + SPINE + 0.09, first[1] - _PLUS
        canvas.label((start[0] + 0.06, start[1] + 0.02), tensor, 1.5, va="above")
        turn = left + WIDTH + GUTTER / 2
        if part == "self":
            canvas.edge([start, (turn, start[1]), (turn, first[1] - _ENTRY)], tensor.mark, arrow=False)
        else:
            below, x = band[1] + 0.09, band[0] + 0.16
            canvas.edge(
                [(start[0] - 0.09, start[1] - 0.09), (start[0] - 0.09, below), (x, below), (x, band[1] - 0.62),
                 (band[0] + 0.5, band[1] - 0.62)], tensor.mark,
            )  # fmt: skip


def feed_forward(canvas: Canvas, corner: Point, layer: Layer) -> None:
    """Draw the two products of the feed-forward part side by side, and the LM head after the last layer."""
    left, top = corner
    canvas.panel(corner, 4.74, BAND, "3  feed-forward", 0.26)
    last = left + 4.84
    canvas.panel((last, top), 2 * WIDTH + GUTTER - 4.84, BAND, f"after layer {layer.layers}, the last")
    wi, wo, head = layer["ffn.wi"], layer["ffn.wo"], layer["lm_head"]
    y = top - 0.62
    first, second, third = Box(left + 1.28, y, 1.56), Box(left + 3.58, y, 1.56), Box(last + 1.58, y, 1.56)
    for box, operation in ((first, wi), (second, wo), (third, head)):
        _product(canvas, box, operation)
    plus = left + 4.56, y
    canvas.edge([first.right, second.left], wi.result.mark)
    canvas.label((first.right[0] + 0.04, y + 0.05), wi.result, 0.66, va="above")
    if wi.result != wo.left:
        canvas.label((first.right[0] + 0.04, y - 0.06), wo.left, 0.66, "gated", va="below")
    canvas.edge([second.right, (plus[0] - 0.09, y)], wo.result.mark)
    canvas.edge([(left + 0.16, y), (left + 0.16, top - 1.1), (plus[0], top - 1.1), (plus[0], y - 0.09)], wi.left.mark)
    canvas.plus(plus, wo.result.mark)
    canvas.label((last + 0.06, y + 0.08), wo.result, 0.72, va="above")
    if wo.result == head.left:
        canvas.edge([(plus[0] + 0.09, y), third.left], wo.result.mark)
    else:
        canvas.edge([(plus[0] + 0.09, y), (last + 0.36, y)], wo.result.mark, arrow=False)
        canvas.edge([(last + 0.36, y), third.left], head.left.mark)
        canvas.pill((last + 0.36, y), "last row", head.left.mark)
        canvas.label((last + 0.06, y - 0.1), head.left, 0.72, va="below")
    canvas.edge([third.bottom, (third.x, top - 1.16)], head.result.mark)
    canvas.label((third.x + 0.07, top - 1.06), head.result, 0.7)
