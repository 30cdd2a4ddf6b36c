FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
ARG COMMIT=
RUN make build VERSION="$VERSION" COMMIT="$COMMIT" && mkdir /empty

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
COPY --from=build /src/bin/acta /acta
# A volume takes over the owner of the folder it covers.
COPY --from=build --chown=65532:65532 /empty /data
ENV ZONEINFO=/zoneinfo.zip ACTA_LISTEN=0.0.0.0:8080 ACTA_DATA_DIR=/data
USER 65532:65532
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["/acta", "health"]
ENTRYPOINT ["/acta"]
CMD ["serve"]
