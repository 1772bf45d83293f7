# radloop in a container. Two variants:
#
#   docker build -t radloop .                                CPU
#   docker build -t radloop:cuda --build-arg TORCH=cuda .    CUDA; run with --gpus all, the driver is the host's
#   docker run --rm --network none -v "$PWD:/data" radloop label run reports.csv -o labels.csv
#
# EXTRAS are those of pyproject.toml; none of them is needed to label reports: --build-arg EXTRAS=corpus --build-arg
# TORCH=none is the small one. `python -m tests.benchmarks.dockerfile` runs every step in a plain Debian root.
ARG DEBIAN=debian:bookworm-slim

FROM ${DEBIAN} AS wheel
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir build hatchling
COPY pyproject.toml README.md CHANGELOG.md LICENSE /src/
COPY configs /src/configs
COPY corpora /src/corpora
COPY labeler /src/labeler
COPY vision /src/vision
COPY reportgen /src/reportgen
RUN /opt/build/bin/python -m build --wheel --no-isolation --outdir /wheels /src

FROM ${DEBIAN} AS radloop
ARG TORCH=cpu
ARG EXTRAS=report,review,bench,onnx
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv tesseract-ocr \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/radloop
# PyPI's torch for Linux is the CUDA build; a change of radloop does not install torch anew
RUN case "${TORCH}" in \
      cpu) /opt/radloop/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu 'torch>=2.4,<2.14' ;; \
      cuda) /opt/radloop/bin/pip install --no-cache-dir 'torch>=2.4,<2.14' ;; \
      none) ;; \
      *) echo "TORCH is cpu, cuda or none, not ${TORCH}" >&2; exit 1 ;; \
    esac
COPY --from=wheel /wheels /wheels
RUN /opt/radloop/bin/pip install --no-cache-dir "$(echo /wheels/radloop-*.whl)[${EXTRAS}]" && rm -r /wheels
ENV PATH=/opt/radloop/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV HF_HUB_OFFLINE=1
RUN useradd --uid 1000 --create-home radloop && mkdir /data && chown radloop /data && radloop doctor
USER radloop
WORKDIR /data
ENTRYPOINT ["radloop"]
CMD ["--help"]
