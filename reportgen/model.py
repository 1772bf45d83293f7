"""The drafter: films to a report, one model of transformers.

    films [B, V, 1, S, S] -> encoder (frozen for good) -> map, pooled to P cells [B, V, P, C]
      -> LayerNorm, Linear, GELU, Linear + view embedding -> prefix [B, V P, D]
    prefix + prompt -> any causal language model -> the draft
    prefix + Indication, prior report -> the same model -> Linear at the token <|hints|> -> its own judgement [B, L]

The encoder never learns here, its BatchNorm statistics included: its cells and logits may be worked out once and kept.
Labels may stand in the prompt as hints, by their names (see reportgen.targets): those of the encoder, or those that
encoder and drafter judge together (see reportgen.judging).
``Drafter.from_pretrained``, ``save_pretrained`` and ``generate`` are those of transformers.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from vision.encoder import FilmEncoder, FilmEncoderConfig, feature_size

#: Places in the view embedding.
VIEWS: Final = ("frontal", "lateral", "unknown")
_IGNORED: Final = -100


class DrafterConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """The two networks and what joins them: ``side`` cells a side, ``films`` at most a study.

    ``hints`` says whether labels stand in the prompt; ``thresholds`` by label, where the encoder's probability makes
    one. ``telling_indication`` and ``telling_prior`` say what else does. ``cells`` are the means of a map, or its means
    and peaks. ``judge_token`` is the token at which the drafter judges labels itself, None if it does not;
    ``judgement`` says how its view and the encoder's are mixed (see ``reportgen.judging``).
    """

    model_type = "radloop_drafter"
    sub_configs = {"vision_config": FilmEncoderConfig, "text_config": AutoConfig}  # noqa: RUF012 - transformers' own

    def __init__(
        self,
        vision_config: FilmEncoderConfig | Mapping[str, Any] | None = None,
        text_config: PretrainedConfig | Mapping[str, Any] | None = None,
        side: int = 4,
        films: int = 2,
        hints: bool = True,
        thresholds: Mapping[str, float] | None = None,
        telling_indication: bool = True,
        telling_prior: bool = False,
        prompt_tokens: int = 96,
        target_tokens: int = 192,
        cells: Literal["mean", "mean_peak"] = "mean",
        judge_token: int | None = None,
        judgement: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(vision_config, FilmEncoderConfig):
            vision_config = FilmEncoderConfig(**dict(vision_config or {}))
        if not isinstance(text_config, PretrainedConfig):
            known = dict(text_config or {"model_type": "gpt2"})
            text_config = AutoConfig.for_model(known.pop("model_type"), **known)
        self.vision_config, self.text_config = vision_config, text_config
        self.side, self.films, self.hints = side, films, hints
        self.thresholds = dict(thresholds or {})
        self.telling_indication, self.telling_prior = telling_indication, telling_prior
        self.prompt_tokens, self.target_tokens = prompt_tokens, target_tokens
        self.cells, self.judge_token = cells, judge_token
        self.judgement = dict(judgement) if judgement is not None else None
        super().__init__(**kwargs)


class Seen(NamedTuple):
    """What the encoder makes of films: ``cells`` [N, P, C], ``logits`` [N, L]."""

    cells: Tensor
    logits: Tensor


class Films(NamedTuple):
    """Films of studies: ``cells`` [B, V, P, C], ``present`` [B, V], ``views`` [B, V]."""

    cells: Tensor
    present: Tensor
    views: Tensor

    def to(self, device: torch.device | str) -> Films:
        """The same on a device."""
        return Films(*(value.to(device) for value in self))


class Drafter(PreTrainedModel):  # type: ignore[no-untyped-call]
    """An encoder, a projector, a decoder; see the module."""

    config_class = DrafterConfig
    base_model_prefix = "drafter"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    config: DrafterConfig
    usual_mean: Tensor
    usual_spread: Tensor
    usual_limit: Tensor
    #: A recording of greedy steps, kept for the next batch.
    greedy: Any = None

    def __init__(self, config: DrafterConfig) -> None:
        super().__init__(config)
        self.encoder = FilmEncoder(config.vision_config)
        self.decoder: Any = AutoModelForCausalLM.from_config(config.text_config)  # type: ignore[no-untyped-call]
        body = self.encoder.backbone.config
        features = feature_size(body) * (2 if config.cells == "mean_peak" else 1)
        width = self.decoder.get_input_embeddings().embedding_dim
        self.projector = nn.Sequential(
            nn.LayerNorm(features), nn.Linear(features, width), nn.GELU(), nn.Linear(width, width)
        )
        self.view = nn.Embedding(len(VIEWS), width)
        if config.judge_token is not None:
            read = self.decoder.get_output_embeddings().weight.shape[1]
            self.judge = nn.Linear(read, len(config.vision_config.label_names))
        # what training films look like to the encoder, and how far from it the farthest of 1,000 was
        self.register_buffer("usual_mean", torch.zeros(features))
        self.register_buffer("usual_spread", torch.ones(features))
        self.register_buffer("usual_limit", torch.full((1,), torch.inf))
        self.post_init()  # type: ignore[no-untyped-call]
        self._freeze_encoder()

    def _init_weights(self, module: nn.Module) -> None:
        # encoder and decoder have begun their own weights
        mine = {id(part) for part in (*self.joint().values(),) for part in part.modules()}
        if id(module) not in mine:
            return
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def joint(self) -> dict[str, nn.Module]:
        """The parts that join encoder and decoder, by name: what stage 1 trains."""
        return {name: getattr(self, name) for name in ("projector", "view", "judge") if hasattr(self, name)}

    def _freeze_encoder(self) -> None:
        self.encoder.requires_grad_(False)
        self.encoder.train(False)

    def train(self, mode: bool = True) -> Drafter:
        """As of any module, but the encoder stays as it is: frozen BatchNorm would still move its statistics."""
        super().train(mode)
        self.encoder.train(False)
        return self

    def get_input_embeddings(self) -> nn.Module:
        return self.decoder.get_input_embeddings()  # type: ignore[no-any-return]

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.decoder.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.decoder.get_output_embeddings()  # type: ignore[no-any-return]

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.decoder.set_output_embeddings(value)

    @torch.no_grad()
    def see(self, greys: Tensor) -> Seen:
        """Cells [N, P, C] and calibrated logits [N, L] of films [N, 1, S, S] in 0..1."""
        found = self.encoder(greys)
        seen, side = found.last_hidden_state.float(), self.config.side
        pooled = [F.adaptive_avg_pool2d(seen, side)]
        if self.config.cells == "mean_peak":
            # a small finding is one place of a cell, and its mean hides it
            pooled.append(F.adaptive_max_pool2d(seen, side))
        cells = torch.cat(pooled, dim=1).flatten(2).transpose(1, 2)
        return Seen(cells, found.logits / found.logits.new_tensor(self.encoder.config.temperatures))

    def unusual(self, cells: Tensor) -> Tensor:
        """How far films [N, P, C] are from those of training, over the limit of these: above 1 is no usual film."""
        z = (cells.float().mean(dim=1) - self.usual_mean) / self.usual_spread
        return z.square().mean(dim=1).sqrt() / self.usual_limit

    def prefix(self, films: Films) -> tuple[Tensor, Tensor]:
        """Embeddings [B, V P, D] of films, and which of them count."""
        dtype = self.view.weight.dtype
        cells = self.projector(films.cells.to(dtype)) + self.view(films.views)[:, :, None]
        batch, views, places, width = cells.shape
        embeds = cells.reshape(batch, views * places, width)
        return embeds, films.present.long().repeat_interleave(places, dim=1)

    def joined(self, films: Films, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [B, T', D] of films and text, and which of them count."""
        embeds, mask = self.prefix(films)
        words = self.decoder.get_input_embeddings()(input_ids)
        return torch.cat([embeds.to(words.dtype), words], dim=1), torch.cat(
            [mask, attention_mask.to(mask.dtype)], dim=1
        )

    def forward(
        self, films: Films, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """The decoder's output over films and text; ``labels`` [B, T] go with ``input_ids``, -100 is not learned.

        With labels there are logits from the place before the first that is learned on: films and prompts are longer
        than reports, and each place costs a vocabulary.
        """
        embeds, mask = self.joined(films, input_ids, attention_mask)
        places = (mask.cumsum(dim=1) - 1).clamp_min(0)
        if labels is not None:
            learned = (labels != _IGNORED).any(dim=0)
            labels = labels[:, int(learned.int().argmax()) :]
            kwargs["logits_to_keep"] = labels.shape[1] + 1
        found = self.decoder(
            inputs_embeds=embeds, attention_mask=mask, position_ids=places, use_cache=False, **kwargs
        )  # fmt: skip
        if labels is not None:
            logits = found.logits[:, :-1].flatten(0, 1).float()
            found["loss"] = F.cross_entropy(logits, labels.flatten(), ignore_index=_IGNORED)
        return found

    def judged(self, hidden: Tensor, input_ids: Tensor) -> Tensor:
        """Its own logits [B, L] of the labels, from the last hidden states [B, T', D] over films and text [B, T]."""
        token = self.config.judge_token
        asked = torch.eq(input_ids, -1 if token is None else token).int()
        # the last such token: what a report says cannot be one, and a row without any reads its end
        behind = asked.flip(1).argmax(dim=1)
        rows = torch.arange(len(hidden), device=hidden.device)
        found: Tensor = self.judge(hidden[rows, hidden.shape[1] - 1 - behind].to(self.judge.weight.dtype)).float()
        return found

    def generate(self, films: Films, input_ids: Tensor, attention_mask: Tensor, **kwargs: Any) -> Tensor:
        """New tokens [B, T'] behind the prompt, and nothing else; ``kwargs`` are those of ``generate``."""
        embeds, mask = self.joined(films, input_ids, attention_mask)
        # max_length would count the prefix
        kwargs.setdefault("max_new_tokens", 128)
        with warnings.catch_warnings():
            # word groups of the prompt may come again: films have no words, and labels are to be said
            warnings.filterwarnings("ignore", message="Passing `no_repeat_ngram_size` with", category=UserWarning)
            found: Tensor = self.decoder.generate(inputs_embeds=embeds, attention_mask=mask, **kwargs)
        return found


def register() -> None:
    """Let ``AutoConfig`` and ``AutoModel`` of transformers read a run's folder."""
    from vision.encoder import register as register_encoder

    register_encoder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        AutoConfig.register(DrafterConfig.model_type, DrafterConfig, exist_ok=True)
        AutoModel.register(DrafterConfig, Drafter, exist_ok=True)
