# Two stages: one that builds, and one that holds only what running needs, as a user without
# privileges. By default the image runs the smoke training:
#
#   docker build -t rfm .
#   docker run --rm rfm
#   docker run --rm -v "$PWD/data:/home/rfm/data" -v "$PWD/runs:/home/rfm/runs" rfm \
#     /opt/rfm/launch/local train --config /opt/rfm/configs/dffd.yaml

ARG BUILD_IMAGE=swift:6.3-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
# Where a toolchain lies that is not the image's own (launch/container --local-base).
ENV PATH=${PATH}:/opt/swift/usr/bin
WORKDIR /source
# Before the sources, so that a change of them does not install everything again.
COPY launch/common.sh launch/install-dependencies launch/fetch-swift launch/
RUN launch/install-dependencies
COPY Package.* ./
COPY Sources Sources
COPY Tests Tests
RUN swift build -c release --static-swift-stdlib --product rfm \
  && install -D -s -t /opt/rfm/bin \
    "$(swift build -c release --static-swift-stdlib --show-bin-path)/rfm"

FROM ${RUN_IMAGE}
COPY launch/common.sh launch/install-dependencies launch/local launch/smoke launch/cluster \
  launch/guarded /opt/rfm/launch/
# ssh for jobs of several containers: launch/mpijob.yaml, launch/cluster. A server started by the user
# listens on a port above 1023, with the keys that are mounted into the home folder.
RUN /opt/rfm/launch/install-dependencies --runtime \
  && apt-get update -qq \
  && apt-get install -y -qq --no-install-recommends openssh-client openssh-server \
  && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* \
  && printf '%s\n' 'Host *' 'Port 2222' 'StrictHostKeyChecking no' \
    'UserKnownHostsFile /dev/null' 'LogLevel ERROR' >/etc/ssh/ssh_config.d/rfm.conf \
  && printf '%s\n' 'Port 2222' 'HostKey /home/rfm/.ssh/id_rsa' 'PidFile none' 'StrictModes no' \
    'UsePAM no' 'PasswordAuthentication no' >/opt/rfm/sshd_config
COPY --from=build /opt/rfm/bin/rfm /opt/rfm/bin/rfm
COPY configs /opt/rfm/configs
COPY LICENSE /opt/rfm/
RUN ln -s /opt/rfm/bin/rfm /usr/local/bin/rfm && useradd --create-home --uid 1000 rfm
USER rfm
WORKDIR /home/rfm
# Ranks of one container may not be allowed to read each other's memory: copy through shared memory.
ENV OMPI_MCA_btl_vader_single_copy_mechanism=none
CMD ["/opt/rfm/launch/smoke"]
