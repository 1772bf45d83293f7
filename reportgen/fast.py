"""Greedy decoding without waiting for Python: a static cache, and each step on a GPU one CUDA graph.

What ``generate`` of transformers does in a step is launched from Python, a kernel at a time; with a decoder of ordinary
size the launches take longer than the work. Here all that a step reads and writes has its place in memory, so that the
step is recorded once and replayed. The tokens are those of greedy ``generate``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.cache_utils import Cache, StaticLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

#: Steps between two looks at whether all texts have ended: each waits for the GPU.
_STEPS_BETWEEN_LOOKS: Final = 16
#: Lengths are rounded up to this, so that a recording serves for many batches.
_ROUND: Final = 32
#: A step attends to what is filled, rounded up to this: a recording for each such span.
_SPAN: Final = 64
#: A recording takes some steps of its own.
_FEWEST: Final = 8


_GROUPED: Final = "radloop_grouped"


def _grouped_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention of one token [B, H, 1, d] to shared keys [B, K, L, d], each read once and not copied for its heads."""
    if query.shape[2] > 1:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return found
    batch, heads, _, width = query.shape
    packed = query.reshape(batch, key.shape[1], heads // key.shape[1], width)
    scores = packed @ key.transpose(2, 3) * (width**-0.5 if scaling is None else scaling)
    weights = (scores.float() + attention_mask).softmax(dim=-1).to(value.dtype)
    return (weights @ value).reshape(batch, heads, 1, width).transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register(_GROUPED, _grouped_attention)


class _Slots(StaticLayer):  # type: ignore[no-untyped-call]
    """Keys and values of a layer; new ones go where ``place`` says, and the first ``span`` are attended to."""

    def __init__(self, length: int, place: Tensor) -> None:
        super().__init__(max_cache_len=length)
        self.place, self.span = place, length

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None and self.values is not None
        self.keys.index_copy_(2, self.place, key_states)
        self.values.index_copy_(2, self.place, value_states)
        return self.keys[:, :, : self.span], self.values[:, :, : self.span]

    def get_seq_length(self, *args: Any, **kwargs: Any) -> int:
        return 0


@contextmanager
def _attending(decoder: Any) -> Iterator[None]:
    """Where several heads share keys, a step's attention reads them once; elsewhere it is the decoder's own."""
    config = decoder.config
    own = config._attn_implementation
    shared = (getattr(config, "num_key_value_heads", None) or config.num_attention_heads) < config.num_attention_heads
    if shared and own == "sdpa":
        config._attn_implementation = _GROUPED
    try:
        yield
    finally:
        config._attn_implementation = own


class Greedy:
    """Greedy decoding of batches of one shape; ``compiled`` fuses the kernels of a step, which takes a while once."""

    def __init__(self, decoder: Any, rows: int, before: int, most: int, *, compiled: bool = False) -> None:
        self.decoder, self.rows, self.most = decoder, rows, most
        self.before = -(-before // _ROUND) * _ROUND
        # whole spans: attention copies a mask whose rows are not aligned
        self.length = -(-(self.before + most) // _SPAN) * _SPAN
        self.span, self.compiled = self.length, compiled
        weight = decoder.get_input_embeddings().weight
        self.device, self.dtype = weight.device, weight.dtype
        self.layers = [_Slots(self.length, self._zeros(1)) for _ in range(decoder.config.num_hidden_layers)]
        self.cache = Cache(layers=list(self.layers))
        named = inspect.signature(decoder.forward).parameters
        self.cache_name = "cache" if "cache" in named else "past_key_values"
        # all that a step reads and writes
        self.place, self.turn = self._zeros(1), self._zeros(1)
        self.token, self.position = self._zeros(rows), self._zeros(rows, 1)
        self.mask = torch.zeros(rows, 1, 1, self.length, dtype=self.dtype, device=self.device)
        self.found = self._zeros(rows, most)
        self.sure = torch.zeros(rows, most, device=self.device)
        self.ended = torch.zeros(rows, dtype=torch.bool, device=self.device)
        self.banned = self._zeros(0)
        self.final = torch.zeros(weight.shape[0], dtype=torch.bool, device=self.device)
        self.pad = self._zeros(())
        self._stepped: Any = torch.compile(self._step, dynamic=False) if compiled else self._step
        self._graphs: dict[int, Any] = {}

    def _zeros(self, *shape: Any) -> Tensor:
        return torch.zeros(*shape, dtype=torch.long, device=self.device)

    @torch.no_grad()
    def __call__(
        self, embeds: Tensor, mask: Tensor, *, pad: int, ends: Sequence[int], banned: Sequence[int] = (),
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """New tokens [B, T] and their log probabilities behind embeddings [B, P, D] with their mask [B, P].

        A text's first end token is in it; what follows is padding.
        """
        with _attending(self.decoder):
            return self._decoded(embeds, mask, pad, ends, banned)

    def _decoded(
        self, embeds: Tensor, mask: Tensor, pad: int, ends: Sequence[int], banned: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        count = len(mask)
        self._begin(embeds, mask, pad, ends, banned)
        if self.device.type == "cuda" and not self._graphs and self.most >= _FEWEST:
            self._record()
            self._begin(embeds, mask, pad, ends, banned)
        done = 1
        while done < self.most:
            if done % _STEPS_BETWEEN_LOOKS == 0 and bool(self.ended.all()):
                break
            self._attend(self._span_of(done))
            if self._graphs:
                self._graphs[self.span].replay()
            else:
                self._stepped()
            done += 1
        return self.found[:count, :done].clone(), self.sure[:count, :done].clone()

    def _span_of(self, done: int) -> int:
        """How far a step attends that follows ``done`` tokens; a compiled one always to the end, or it is made anew."""
        return self.length if self.compiled else -(-(self.before + done) // _SPAN) * _SPAN

    def _attend(self, span: int) -> None:
        self.span = span
        for layer in self.layers:
            layer.span = span

    def _begin(self, embeds: Tensor, mask: Tensor, pad: int, ends: Sequence[int], banned: Sequence[int]) -> None:
        """Read what stands before the draft, and choose the first token."""
        embeds, mask = self._fitted(embeds.to(self.dtype), mask)
        self.pad.fill_(pad)
        self.final.zero_()[list(ends)] = True
        self._ban(banned)
        self.ended.zero_()
        self.found.fill_(pad)
        self.sure.zero_()
        lowest = torch.finfo(self.dtype).min
        self.mask.fill_(lowest)
        self.mask[:, 0, 0, : self.before] = torch.where(mask > 0, 0.0, lowest).to(self.dtype)
        causal = torch.full((self.before, self.before), lowest, dtype=self.dtype, device=self.device).triu(1)
        whole = torch.minimum(causal[None, None], self.mask[..., : self.before])
        positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
        self._put(torch.arange(self.before, device=self.device))
        self._attend(self.before)
        logits = self._logits(whole, positions, inputs_embeds=embeds)
        self._put(self.place)
        self.place.fill_(self.before)
        self.position.copy_(positions[:, -1:] + 1)
        self.turn.zero_()
        self._choose(logits)

    def _ban(self, tokens: Sequence[int]) -> None:
        """Tokens that are never chosen. A recording reads the place of their list."""
        if len(tokens) != len(self.banned):
            self.banned = self._zeros(len(tokens))
            self._graphs.clear()
        self.banned.copy_(torch.tensor(list(tokens), dtype=torch.long))

    def _fitted(self, embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Padded to the left and below to the shape that is recorded."""
        count, width, size = embeds.shape
        full = embeds.new_zeros(self.rows, self.before, size)
        full[:count, self.before - width :] = embeds
        seen = mask.new_zeros(self.rows, self.before)
        seen[:count, self.before - width :] = mask
        # a row that is not there reads one token
        seen[count:, -1] = 1
        return full, seen

    def _put(self, place: Tensor) -> None:
        for layer in self.layers:
            layer.place = place

    def _logits(self, mask: Tensor, positions: Tensor, **given: Tensor) -> Tensor:
        found = self.decoder(
            attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1,
            **{self.cache_name: self.cache}, **given,
        )  # fmt: skip
        logits: Tensor = found.logits[:, -1]
        return logits

    def _choose(self, logits: Tensor) -> None:
        # over a vocabulary each pass counts: one writes float32, the other reads the logits as they come
        log = F.log_softmax(logits, dim=-1, dtype=torch.float32)
        chosen = logits.index_fill_(1, self.banned, -torch.inf).argmax(dim=-1)
        sure = log.gather(1, chosen[:, None])[:, 0]
        chosen = torch.where(self.ended, self.pad, chosen)
        self.found.index_copy_(1, self.turn, chosen[:, None])
        self.sure.index_copy_(1, self.turn, sure[:, None])
        self.ended |= self.final[chosen]
        self.token.copy_(chosen)
        self.turn.add_(1)

    def _step(self) -> None:
        self.mask.index_fill_(3, self.place, 0.0)
        logits = self._logits(self.mask[..., : self.span], self.position, input_ids=self.token[:, None])
        self.place.add_(1)
        self.position.add_(1)
        self._choose(logits)

    def _record(self) -> None:
        spans = sorted({self._span_of(done) for done in range(1, self.most)})
        pool, position = None, self.position.clone()
        for span in spans:
            self._attend(span)
            # each recording takes some steps of its own: from the beginning, or they run over the end
            self.place.fill_(self.before)
            self.turn.zero_()
            self.position.copy_(position)
            self._graphs[span] = graph = torch.cuda.CUDAGraph()
            self._warm()
            with torch.cuda.graph(graph, pool=pool):
                self._stepped()
            pool = graph.pool()

    def _warm(self) -> None:
        """What is compiled or chosen on first use must be done before a recording."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._stepped()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
