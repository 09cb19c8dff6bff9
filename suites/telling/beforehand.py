"""Notes made before anything is measured: where decoding departs from files, and what of a GPU cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from strategies.search.options import Beam, Sample, Search

from ..settings.config import RunConfig
from ..settings.rules import shown
from ..settings.search import search_of
from ..settings.sources import pad_id, read_sources
from ..settings.texts import NO_LANGUAGE, in_language, lacks_language, read_sentences
from ..words.quantity import counted
from ..words.search_told import search_told


def told(configs: Iterable[RunConfig], measures: bool = True) -> list[str]:
    """Collect the notes on everything that will be decoded. Each file is read once, however many cells share it.

    ``measures``: whether every batch of a file of texts is decoded, and not the first alone. Raises ConfigError if the
    sources cannot be read, and ModelError if the model or its checkpoint cannot.
    """
    jobs = list(configs)
    distinct = {
        (repr(config.model), config.src_ids, config.src_text, config.batch_size, search_of(config.search)): config
        for config in jobs
    }.values()
    notes = partial(of_sources, measures=measures), of_language, of_generation
    of_files = dict.fromkeys(line for config in distinct for note in notes for line in note(config))
    return [*of_files, *of_gpu(config for config in jobs if not config.cluster.is_slurm)]


def of_sources(config: RunConfig, measures: bool = True) -> Iterator[str]:
    """Yield a note on how a file of sources is cut, or what of it is not decoded.

    ``measures`` and what is raised are as for ``told``.
    """
    from strategies import ModelSpec

    spec = ModelSpec.of(config.model)
    if config.src_text is not None:
        whole, size = len(read_sentences(config.src_text)), config.batch_size
        if whole > size:
            last = f", the last of {whole % size}" if whole % size else ""
            what = (
                f"the {whole} sentences are {-(-whole // size)} batches of {size}{last}, and each batch is a cell"
                if measures
                else f"the first {size} of {whole} sentences {'is' if size == 1 else 'are'} taken"
            )
            yield f"src_text={shown(config.src_text)}: {what}"
    if config.src_ids is None:
        return
    pad = pad_id(spec)
    found = read_sources(config.src_ids, pad)
    if found.padded:
        yield (
            f"src_ids={shown(config.src_ids)}: {found.padded} of {len(found.rows)} lines end in the pad id {pad}, "
            "which is masked and not decoded as a token"
        )


def of_language(config: RunConfig) -> Iterator[str]:
    """Yield a note on the language with which outputs of texts begin, or that a model is told none."""
    from strategies import ModelSpec

    spec = ModelSpec.of(config.model)
    if config.src_text is None:
        return
    spoken, told = in_language(spec), f"src_text={shown(config.src_text)}"
    if spoken != spec:
        (language,) = dict(spoken.shape)["prefix_ids"]
        yield f"{told}: outputs begin with the folder's tgt_lang, token {language}, as by model.prefix_ids=[{language}]"
    elif lacks_language(spec):
        yield f"{told}: {NO_LANGUAGE}"


def of_generation(config: RunConfig) -> Iterator[str]:
    """Yield a note if the checkpoint asks for decoding by another search. Raises ModelError as ``told`` does."""
    from strategies import ModelSpec
    from strategies.models.checkpoints.generation import not_followed

    spec = ModelSpec.of(config.model)
    if spec.source != "checkpoint":
        return
    search = search_of(config.search)
    name, settings = not_followed(Path(str(spec.checkpoint)), _in_transformers(search))
    if settings:
        listed = ", ".join(f"{key}={shown(value)}" for key, value in settings.items())
        yield (
            f"model.checkpoint={shown(spec.checkpoint)}: {name} asks for {listed}, which is not followed here: every "
            f"strategy and contender {_decodes(search)}"
        )


def _in_transformers(search: Search) -> dict[str, object]:
    """The settings of a search by their names in transformers; {} for greedy search, which has none."""
    if isinstance(search, Beam):
        stopping = {"true": True, "false": False}.get(search.early_stopping, search.early_stopping)
        return {
            "num_beams": search.num_beams,
            "length_penalty": search.length_penalty,
            "early_stopping": stopping,
        }
    if isinstance(search, Sample):
        return {
            "do_sample": True,
            "temperature": search.temperature,
            "top_k": search.top_k,
            "top_p": search.top_p,
        }
    return {}


def _decodes(search: Search) -> str:
    if isinstance(search, Beam):
        return f"decodes by search={search_told(search)} with {counted(search.num_beams, 'beam')}"
    return f"decodes by search={search_told(search)}" if isinstance(search, Sample) else "decodes greedily"


def of_gpu(configs: Iterable[RunConfig]) -> Iterator[str]:
    """Yield a note if a device is CUDA, is here, and cannot be asked through NVML."""
    import torch

    from ..machine.nvml import why_no_nvml
    from ..settings.resources import device_of

    if torch.cuda.is_available() and "cuda" in map(device_of, configs) and (reason := why_no_nvml()):
        yield f"device=cuda: throttling, energy, clocks and power limit of the GPU are not read, as {reason}"
