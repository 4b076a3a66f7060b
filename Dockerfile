# facepriv for use, without developer tools, as a user without rights. Nothing is downloaded at run time:
#
#   docker build -t facepriv .
#   docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD:/work" facepriv \
#       apply photos -o protected --method privacynet --obfuscate gender
#
# The usual torch for Linux brings CUDA. For a small image name the wheel of PyTorch's CPU build: --build-arg TORCH="torch @ ADDRESS"
FROM python:3.12-slim
ARG TORCH=torch
COPY . /source
RUN cd /source \
    && pip install --no-cache-dir -c constraints.txt "$TORCH" \
    && pip install --no-cache-dir -c constraints.txt '.[demo,report]' ./plugins/facepriv-estimators ./plugins/facepriv-privacynet \
        ./plugins/facepriv-baseline-gan ./plugins/facepriv-face-mixing ./plugins/facepriv-san ./plugins/facepriv-sim-zhang \
    && rm -rf /source && useradd --create-home facepriv
# A writable home for caches, also for a user that the image does not know.
ENV HOME=/tmp
USER facepriv
WORKDIR /work
ENTRYPOINT ["facepriv"]
CMD ["--help"]
