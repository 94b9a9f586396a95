# syntax=docker/dockerfile:1

# The same Debian as below, for the same C library; slim has the C compiler that SQLite needs.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked \
    && cp target/release/tidings /tidings \
    && strip /tidings \
    && install --directory --owner 65532 --group 65532 /data

# The C library, root certificates and nothing to log in to.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /tidings /usr/local/bin/tidings
COPY --from=build --chown=65532:65532 /data /data
# By number, so that a cluster can see that it is not root.
USER 65532:65532
WORKDIR /data
# The SQLite file lies in the volume; a node on PostgreSQL leaves it empty.
VOLUME /data
ENV TIDINGS_LISTEN=0.0.0.0:50051 \
    TIDINGS_DATABASE=sqlite:/data/tidings.db \
    TIDINGS_LOG_FORMAT=json
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["tidings", "health"]
ENTRYPOINT ["tidings"]
CMD ["serve"]
