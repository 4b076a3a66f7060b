# facepriv for use, without developer tools, as a user without rights. Nothing is downloaded at run time:
#
#   docker build -t facepriv .
#   docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD:/work" facepriv \
#       apply photos -o protected --method privacynet --obfuscate gender
#
# The usual torch for Linux brings CUDA. For a small image name the wheel of PyTorch's CPU build: --build-arg TORCH=ADDRESS
FROM python:3.12-slim
ARG TORCH=torch
COPY . /source
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils make \
    && make -C /source install PREFIX=/opt/facepriv METHODS="baseline-gan face-mixing san sim-zhang" TORCH="$TORCH" CUDA=yes \
    && apt-get purge -y -qq --auto-remove binutils make \
    && rm -rf /source /root/.cache /var/lib/apt/lists/* && useradd --create-home facepriv
# A writable home for caches, also for a user that the image does not know.
ENV HOME=/tmp PATH=/opt/facepriv/bin:$PATH
USER facepriv
WORKDIR /work
ENTRYPOINT ["facepriv"]
CMD ["--help"]
