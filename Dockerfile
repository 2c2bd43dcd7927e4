# Weighbridge with its llama.cpp engine. Built from the repository's root:
#
#   docker build -t weighbridge .
#   docker run --rm -p 127.0.0.1:8000:8000 -e WEIGHBRIDGE_API_KEY=... weighbridge
#
# A routing file mounted at /etc/weighbridge/routing.yaml is served, else the packaged demo.

# Debian's Python has the interpreter in its executable. Where it is a shared library, as in python:3.13-slim,
# the gateway takes a fifth more CPU for each request (docs/decisions/0053).
ARG BASE=debian:trixie-slim

# Nothing, unless the build is given wheels: --build-context wheels=FOLDER
FROM scratch AS wheels

FROM ${BASE} AS build
# Flags for the CPU, empty for those below; they must not depend on the machine that builds.
ARG CPU_FLAGS=""
WORKDIR /src
ENV PATH=/opt/weighbridge/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && /usr/bin/python3 -m venv /opt/weighbridge \
    && pip install --upgrade "pip>=25.1"
COPY --from=wheels . /wheels/
COPY pyproject.toml ./
COPY tools/setup tools/setup
# Before the source: a change of ours must not compile llama.cpp again.
RUN set -eu; \
    if ls /wheels/llama_cpp_python-*.whl >/dev/null 2>&1; then \
        pip install --no-deps /wheels/llama_cpp_python-*.whl; \
    else \
        apt-get install --yes --no-install-recommends g++ git make; \
        case "$(uname -m)" in \
            x86_64) usual="-DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_BMI2=ON -DGGML_FMA=ON -DGGML_F16C=ON" ;; \
            aarch64) usual="-DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16" ;; \
            *) usual="" ;; \
        esac; \
        CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF ${CPU_FLAGS:-$usual}" \
            python tools/setup/llamacpp_wheel.py --install; \
    fi
COPY requirements requirements
COPY README.md LICENSE routing.yaml ./
COPY engines engines
COPY gateway gateway
RUN pip install --constraint requirements/ci.txt ".[llamacpp]"

FROM ${BASE}
# OpenMP, which llama.cpp's threads run on; the slim image has none.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libgomp1 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent weighbridge \
    && install -d -o 10001 -g 10001 /var/lib/weighbridge
COPY --from=build /opt/weighbridge /opt/weighbridge
ENV PATH=/opt/weighbridge/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Weights that are fetched, and what was learnt of models: without a volume of yours, gone with the container.
ENV WEIGHBRIDGE_CACHE=/var/lib/weighbridge HF_HUB_CACHE=/var/lib/weighbridge/hub
VOLUME /var/lib/weighbridge
# ./routing.yaml is what `serve` takes without being told: here it is there only when mounted.
WORKDIR /etc/weighbridge
USER 10001:10001
EXPOSE 8000
# Never by a proxy, which Docker puts into the environment where its own configuration names one.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8000/health', timeout=2)"]
STOPSIGNAL SIGTERM
# Without a key this ends with a line that says so; --no-auth after the image's name is the other way.
ENTRYPOINT ["weighbridge", "serve", "--host", "0.0.0.0", "--port", "8000"]
