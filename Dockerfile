# The three programs as images, on Debian 12. One build stage, three small targets:
#
#   docker build --target server -t uaqf-server .
#   docker build --target worker -t uaqf-worker .
#   docker build --target client -t uaqf .
#
# Ports beyond loopback want TLS: deploy/make-dev-ca.sh FOLDER server makes certificates for a server of that name.
#
#   docker network create uaqf
#   docker run -d --network uaqf --name server -p 7600:7600 -p 9464:9464 -v $PWD/tls:/etc/uaqf/tls:ro \
#     -v uaqf:/var/lib/uaqf uaqf-server
#   docker run -d --network uaqf -v $PWD/tls:/etc/uaqf/tls:ro -v $PWD/models:/models:ro uaqf-worker
#   docker run --rm --network uaqf -v $PWD/tls:/etc/uaqf/tls:ro uaqf workers
#
# The programs run as user 10001: it must be able to read the certificates' keys and the models.

FROM debian:12-slim AS build
ENV UAQF_CACHE=/opt/uaqf
WORKDIR /src
# Alone first: a change of the source does not fetch the dependencies anew.
COPY deploy/dependencies.sh deploy/dependencies.lock deploy/
RUN deploy/dependencies.sh && rm -rf /opt/uaqf/downloads /var/lib/apt/lists/*
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY prompts prompts
COPY proto proto
COPY kernels kernels
COPY worker worker
COPY server server
COPY client client
RUN cmake --preset release -DUAQF_BUILD_TESTS=OFF \
 && cmake --build build --target uaqf_server_program uaqf_worker_program uaqf_cli_program

# What all three load at run time. tests/deploy/image_test.py holds this list against what the programs need.
FROM debian:12-slim AS runtime
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends \
      ca-certificates libgrpc++1.51 libprotobuf32 libspdlog1.10 libssl3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --home-dir /var/lib/uaqf --create-home uaqf
WORKDIR /var/lib/uaqf

FROM runtime AS server
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends \
      libprometheus-cpp-core1.0 libprometheus-cpp-pull1.0 libsqlite3-0 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/bin/uaqf-server /usr/local/bin/
USER uaqf
VOLUME /var/lib/uaqf
# Clients, workers, metrics.
EXPOSE 7600 7601 9464
ENTRYPOINT ["uaqf-server"]
CMD ["--listen", "0.0.0.0:7600", "--worker-listen", "0.0.0.0:7601", "--metrics", "0.0.0.0:9464", \
     "--store", "/var/lib/uaqf/uaqf.db", "--tls-cert", "/etc/uaqf/tls/server.pem", \
     "--tls-key", "/etc/uaqf/tls/server-key.pem", "--tls-ca", "/etc/uaqf/tls/ca.pem"]

FROM runtime AS worker
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends libpcre2-8-0 libprotobuf-lite32 \
 && rm -rf /var/lib/apt/lists/*
# The CPU half of libtorch, which calibrated variants are made with, where the program looks for it.
COPY --from=build /opt/uaqf/deps/torch-2.11.0/torch/lib/libtorch_cpu.so /opt/uaqf/deps/torch-2.11.0/torch/lib/libc10.so \
     /opt/uaqf/deps/torch-2.11.0/torch/lib/libgomp.so.1 /opt/uaqf/deps/torch-2.11.0/torch/lib/
COPY --from=build /opt/uaqf/deps/cuda-runtime-13.0.96/nvidia/cu13/lib/libcudart.so.13 \
     /opt/uaqf/deps/cuda-runtime-13.0.96/nvidia/cu13/lib/
COPY --from=build /opt/uaqf/deps/cuda-cupti-13.0.85/nvidia/cu13/lib/libcupti.so.13 \
     /opt/uaqf/deps/cuda-cupti-13.0.85/nvidia/cu13/lib/
COPY --from=build /src/build/bin/uaqf-worker /usr/local/bin/
USER uaqf
VOLUME /models
ENTRYPOINT ["uaqf-worker"]
CMD ["serve", "--server", "server:7601", "--models", "/models", "--device", "cpu", \
     "--tls-cert", "/etc/uaqf/tls/worker.pem", "--tls-key", "/etc/uaqf/tls/worker-key.pem", \
     "--tls-ca", "/etc/uaqf/tls/ca.pem"]

FROM runtime AS client
COPY --from=build /src/build/bin/uaqf /usr/local/bin/
USER uaqf
ENV UAQF_SERVER=server:7600 UAQF_TLS_CA=/etc/uaqf/tls/ca.pem
ENTRYPOINT ["uaqf"]
CMD ["--help"]
