"""Speed and memory of the text metrics and of comparisons, and which metric sees which error.

    python tests/benchmarks/bench.py speed 590 20000        beside pycocoevalcap, where it is installed
    python tests/benchmarks/bench.py five                   five systems x 590: scores, 10,000 bootstraps and tests
    python tests/benchmarks/bench.py memory 200000          peak memory of BLEU, ROUGE-L and CIDEr
    python tests/benchmarks/bench.py contrast               the contrast set, per class and metric

Texts are drawn from invented sentences with a fixed seed. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import resource
import statistics
import time
from importlib.util import find_spec

from reportgen.clinical.contrast import load_contrasts, sensitivity
from reportgen.metrics.bleu import Bleu
from reportgen.metrics.cider import Cider
from reportgen.metrics.clinical import Clinical
from reportgen.metrics.rouge import RougeL
from reportgen.resampling import drawn, randomised
from reportgen.tokens import words
from reportgen.types import Pair

METRICS = (Bleu, RougeL, Cider)


def sample(n: int, seed: int = 0) -> list[Pair]:
    """Pairs of drafts and references of about 45 words, of the sentences of the contrast set with words changed."""
    rng = random.Random(seed)
    known = sorted({text for one in load_contrasts() for text in one.reference.rstrip(".").split(". ")})
    vocabulary = sorted({word for text in known for word in text.lower().split()})

    def report() -> str:
        said = words(". ".join(rng.choice(known) for _ in range(8)) + ".").split()
        return " ".join(rng.choice(vocabulary) if rng.random() < 0.1 else word for word in said)

    return [Pair(str(at), report(), (report(),)) for at in range(n)]


def ours(pairs: list[Pair]) -> dict[str, float]:
    return {one.name: one.total() for metric in METRICS for one in metric().score(pairs)}


def peer(pairs: list[Pair]) -> dict[str, float]:
    from pycocoevalcap.bleu.bleu import Bleu as PeerBleu
    from pycocoevalcap.cider.cider import Cider as PeerCider
    from pycocoevalcap.rouge.rouge import Rouge as PeerRouge

    references = {at: list(pair.references) for at, pair in enumerate(pairs)}
    drafts = {at: [pair.hypothesis] for at, pair in enumerate(pairs)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu = PeerBleu(4).compute_score(references, drafts)[0]
        rouge = PeerRouge().compute_score(references, drafts)[0]
        cider = PeerCider().compute_score(references, drafts)[0]
    return {**{f"BLEU_{n}": value for n, value in enumerate(bleu, 1)}, "ROUGE_L": rouge, "CIDEr": cider}


def timed(work, pairs: list[Pair], runs: int) -> tuple[float, dict[str, float]]:
    """Median of processor seconds, so that what else the machine does matters less."""
    seconds = []
    for _ in range(runs):
        begun = time.process_time()
        found = work(pairs)
        seconds.append(time.process_time() - begun)
    return statistics.median(seconds), found


def speed(sizes: list[int]) -> None:
    for n in sizes:
        pairs = sample(n)
        mine, found = timed(ours, pairs, 5 if n < 5000 else 3)
        line = {"pairs": n, "ours_s": round(mine, 4)}
        if find_spec("pycocoevalcap"):
            theirs, expected = timed(peer, pairs, 3 if n < 5000 else 1)
            apart = max(abs(found[name] - value) for name, value in expected.items())
            line |= {"pycocoevalcap_s": round(theirs, 3), "times": round(theirs / mine, 1), "largest_difference": apart}
        print(json.dumps(line), flush=True)


def five() -> None:
    systems = []
    begun, wall = time.process_time(), time.perf_counter()
    references = sample(590)
    for seed in range(5):
        drafts = sample(590, seed + 1)
        pairs = [Pair(r.study_id, d.hypothesis, r.references) for d, r in zip(drafts, references, strict=True)]
        systems.append([one for metric in (*METRICS, Clinical) for one in metric().score(pairs)])
    scored = time.process_time() - begun
    for system in systems:
        drawn(system, 10_000, 0)
    for at, one in enumerate(systems):
        for other in systems[at + 1 :]:
            randomised(one, other, 10_000, 0)
    seconds = {"score_s": round(scored, 2), "all_s": round(time.process_time() - begun, 2)}
    print(json.dumps({"systems": 5, "reports": 590, **seconds, "wall_s": round(time.perf_counter() - wall, 2)}))


def memory(n: int) -> None:
    pairs = sample(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.process_time()
    ours(pairs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = round(time.process_time() - begun, 1)
    print(json.dumps({"pairs": n, "texts_mib": round(before), "peak_mib": round(peak), "seconds": seconds}))


def contrast() -> None:
    contrasts = load_contrasts()
    for metric in (Clinical, Bleu, RougeL, Cider):
        for name, table in sensitivity(metric(), contrasts).items():
            print(json.dumps({"metric": name} | table))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "five", "memory", "contrast"])
    parser.add_argument("sizes", type=int, nargs="*")
    asked = parser.parse_args()
    if asked.what == "speed":
        speed(asked.sizes or [590, 20_000])
    elif asked.what == "memory":
        memory((asked.sizes or [200_000])[0])
    else:
        {"five": five, "contrast": contrast}[asked.what]()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
