"""Drafts and training on a GPU: ResNet-50 with a decoder of 124M and one of about 1B, random weights.

    python -m tests.benchmarks.report_gpu [--seconds 230] [--tokens 80] [--sizes 1,64,512] [--tiny] > gpu.jsonl

One JSON line for each measurement, at once:

  drafts    ours (static cache, CUDA graph; compiled, too, where said) and plain ``generate`` of the same model, same
            films, same prompts, bf16, 80 new tokens each, the encoder's time included; drafts a second, peak memory,
            share of the bound, whether the tokens are the same
  training  samples a second of stage 2 (LoRA and projector, bf16 autocast), films' cells worked out before; our loop
  encoder   films a second of the frozen ResNet-50

The bound is arithmetic: for each token the larger of what must be read (weights, keys and values so far) over the
memory's rate and of what must be multiplied over the peak, and the prefix multiplied once. It ends itself after
``--seconds``: what does not begin in time is left out and said. ``--tiny`` runs on a CPU in seconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, LlamaConfig

from reportgen.fast import Greedy
from reportgen.loop import Stage, fit
from reportgen.model import Drafter, DrafterConfig, Films
from reportgen.recipes import CourseRecipe
from vision.encoder import FilmEncoderConfig, backbone_config

#: Bytes a second of memory, and dense bf16 FLOP/s, from the data sheets of the SXM cards.
CARDS = {"H200": (4.8e12, 989e12), "H100": (3.35e12, 989e12), "A100": (2.04e12, 312e12)}
LABELS = 14
PROMPT = 32
IMAGE = 224


def say(**found):
    print(json.dumps(found), flush=True)


def drafter(name, tiny):
    if tiny:
        body = backbone_config("resnet", {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12],
                                          "depths": [1, 1]}, 1, 32)  # fmt: skip
    else:
        body = backbone_config("resnet", {}, 1, IMAGE)
    if name == "124M":
        text = GPT2Config(**({"n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 200} if tiny else {}))
    else:
        small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
                 "num_key_value_heads": 1, "vocab_size": 200}  # fmt: skip
        text = LlamaConfig(**(small if tiny else {
            "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
            "num_key_value_heads": 8, "vocab_size": 32000, "tie_word_embeddings": True}))  # fmt: skip
    text.bos_token_id = None
    text.pad_token_id = text.eos_token_id = 0
    eye = FilmEncoderConfig(body.to_dict(), [f"l{at}" for at in range(LABELS)], image_size=IMAGE)
    torch.manual_seed(0)
    return Drafter(DrafterConfig(eye, text, side=4, films=1))


def parameters(model):
    return sum(value.numel() for value in model.parameters())


class Work:
    """A drafter on the device with films and prompts of ``rows`` studies."""

    def __init__(self, model, device, rows, size):
        draw = torch.Generator().manual_seed(rows)
        self.model, self.device, self.rows = model, device, rows
        vocabulary = model.config.text_config.vocab_size
        self.greys = torch.rand(rows, 1, size, size, generator=draw).to(device)
        self.ids = torch.randint(1, vocabulary, (rows, PROMPT), generator=draw).to(device)
        self.mask = torch.ones_like(self.ids)
        # prompts are of different lengths
        for row in range(rows):
            self.mask[row, : row % (PROMPT // 2)] = 0

    def films(self):
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            cells = torch.cat([self.model.see(part).cells for part in self.greys.split(64)])
        present = torch.ones(self.rows, 1, dtype=torch.long, device=self.device)
        return Films(cells[:, None], present, torch.zeros_like(present))

    @torch.inference_mode()
    def plain(self, tokens):
        return self.model.generate(
            self.films(), self.ids, self.mask, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False
        )

    @torch.inference_mode()
    def ours(self, greedy):
        embeds, mask = self.model.joined(self.films(), self.ids, self.mask)
        # 0 ends a text: it is never chosen, so that all are as long
        return greedy(embeds, mask, pad=0, ends=[0], banned=[0])[0]


def timed(work, device, least, most=5.0):
    """Seconds of a call: the mean over ``least`` seconds of calls, or one that takes longer than ``most``."""
    synchronize(device)
    begun, calls = time.perf_counter(), 0
    while True:
        work()
        calls += 1
        synchronize(device)
        taken = time.perf_counter() - begun
        if taken > least or taken > most:
            return taken / calls


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def bound(model, rows, tokens, card):
    """Drafts a second that reading and multiplying allow."""
    if card is None:
        return None
    rate, peak = card
    config, weights = model.config.text_config, parameters(model.decoder)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = config.hidden_size // config.num_attention_heads * heads
    cached = 2 * config.num_hidden_layers * width * 2
    before = model.config.side**2 + PROMPT
    seconds = 2 * weights * rows * before / peak
    for at in range(tokens):
        read = (2 * weights + rows * cached * (before + at)) / rate
        seconds += max(read, 2 * weights * rows / peak)
    return rows / seconds


def drafts(name, model, device, card, given, late):
    for rows in given.sizes:
        if late():
            say(measurement="drafts", decoder=name, batch=rows, left_out="no time")
            continue
        work = Work(model, device, rows, 32 if given.tiny else IMAGE)
        most = bound(model, rows, given.tokens, card)
        result = {"measurement": "drafts", "decoder": name, "batch": rows, "tokens": given.tokens}
        tokens = {}
        ways = [("plain", None), ("ours", False)]
        if name in given.compiled and device.type == "cuda":
            ways.append(("ours, compiled", True))
        for way, compiled in ways:
            if late() and way != "ours":
                continue
            reset(device)
            begun = time.perf_counter()
            if compiled is None:
                call = lambda work=work: work.plain(given.tokens)  # noqa: E731
            else:
                before = model.config.side**2 + PROMPT
                greedy = Greedy(model.decoder, rows, before, given.tokens, compiled=compiled)
                call = lambda work=work, greedy=greedy: work.ours(greedy)  # noqa: E731
            try:
                tokens[way] = call()
            except torch.OutOfMemoryError:
                say(**result, way=way, left_out="out of memory")
                continue
            synchronize(device)
            first = time.perf_counter() - begun
            seconds = timed(call, device, 1.5)
            say(**result, way=way, drafts_per_s=round(rows / seconds, 2), share_of_bound=most and
                round(rows / seconds / most, 4), bound=most and round(most, 1), first_call_s=round(first, 2),
                peak_gib=peak_memory(device), same_as_plain=same(tokens, way))  # fmt: skip
            call = greedy = None


def same(tokens, way):
    """The share of drafts with the tokens of plain ``generate``; bf16 sums in another order differ now and then."""
    if way == "plain" or "plain" not in tokens:
        return None
    return round(float((tokens["plain"] == tokens[way]).all(dim=1).float().mean()), 4)


def reset(device):
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device):
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if device.type == "cuda" else None


def encoder(model, device, given):
    work = Work(model, device, 8 if given.tiny else 512, 32 if given.tiny else IMAGE)
    with torch.inference_mode():
        work.films()
        seconds = timed(work.films, device, 1.0)
    say(measurement="encoder", films_per_s=round(work.rows / seconds, 1))


def training(name, model, device, card, given, late):
    """Stage 2 by our own loop, over cells in memory, targets of 80 tokens."""
    if late():
        say(measurement="training", decoder=name, left_out="no time")
        return
    targets = ["c_attn", "c_proj", "c_fc"] if name == "124M" else "all-linear"
    model.decoder.requires_grad_(False)
    model.decoder = get_peft_model(model.decoder.float(), LoraConfig(
        r=16, lora_alpha=32, target_modules=targets, task_type="CAUSAL_LM", fan_in_fan_out=name == "124M"
    ))  # fmt: skip
    for part in model.joint().values():
        part.float().requires_grad_(True)
    trained = sum(value.numel() for value in model.decoder.parameters() if value.requires_grad)
    size = 4 if given.tiny else 64
    steps = 3 if given.tiny else (40 if name == "124M" else 12)
    count, places = size * steps, model.config.side**2
    width = model.encoder.head.in_features
    draw = torch.Generator().manual_seed(0)
    cells = torch.randn(count, 1, places, width, generator=draw).half()
    ids = torch.randint(1, model.config.text_config.vocab_size, (count, PROMPT + given.tokens), generator=draw)
    labels = ids.clone()
    labels[:, :PROMPT] = -100

    def loss(rows):
        here = torch.from_numpy(np.asarray(rows))
        one = torch.ones(len(here), 1, dtype=torch.long, device=device)
        films = Films(cells[here].to(device, torch.float32), one, torch.zeros_like(one))
        text = ids[here].to(device)
        return model(films, text, torch.ones_like(text), labels[here].to(device)).loss

    marks = []

    def watch(step):
        synchronize(device)
        marks.append(time.perf_counter())

    reset(device)
    accelerator = Accelerator(mixed_precision="bf16" if device.type == "cuda" else "no")
    with tempfile.TemporaryDirectory() as folder:
        recipe = CourseRecipe(epochs=1, batch_size=size, learning_rate=1e-4)
        stage = Stage("adapt", recipe, model, loss, lambda: (0.0, {}), np.full(count, PROMPT), 0,
                      Path(folder) / "adapt.pt", "key")  # fmt: skip
        fit(stage, accelerator, resume=False, watch=watch)
    warm = len(marks) // 3
    rate = size * (len(marks) - 1 - warm) / (marks[-1] - marks[warm])
    length = places + PROMPT + given.tokens
    # forward and backward through frozen weights: 4 products a weight and token, not 6
    share = card and round(rate * 4 * parameters(model.decoder) * length / card[1], 4)
    part = round(trained / parameters(model.decoder), 4)
    say(measurement="training", decoder=name, batch=size, samples_per_s=round(rate, 1), tokens_a_sample=length,
        share_of_peak=share, trained=part, peak_gib=peak_memory(device))  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=230)
    parser.add_argument("--tokens", type=int, default=80)
    parser.add_argument("--sizes", type=lambda text: [int(each) for each in text.split(",")], default=[512, 64, 1])
    parser.add_argument("--decoders", type=lambda text: text.split(","), default=["124M", "1B"])
    parser.add_argument("--compiled", type=lambda text: text.split(","), default=["124M"])
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    begun = time.perf_counter()
    late = lambda: time.perf_counter() - begun > given.seconds  # noqa: E731
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    card = next((value for key, value in CARDS.items() if key in name), None)
    say(measurement="machine", device=name, torch=torch.__version__, transformers=transformers.__version__)
    for which in given.decoders:
        model = drafter(which, given.tiny).to(device)
        model.eval()
        say(measurement="model", decoder=which, decoder_parameters=parameters(model.decoder),
            encoder_parameters=parameters(model.encoder))  # fmt: skip
        if which == given.decoders[0]:
            encoder(model, device, given)
        if device.type == "cuda":
            for part in (model.decoder, *model.joint().values()):
                part.to(torch.bfloat16)
        drafts(which, model, device, card, given, late)
        training(which, model, device, card, given, late)
        del model
    say(measurement="end", seconds=round(time.perf_counter() - begun, 1))


if __name__ == "__main__":
    sys.exit(main())
