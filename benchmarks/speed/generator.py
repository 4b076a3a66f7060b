"""Speed of PrivacyNet's generator on the CPU, one face at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from facepriv_privacynet.inference import LaidOut, for_one_face
from facepriv_privacynet.method import PrivacyNet, load_generator
from facepriv_privacynet.networks import Generator, GeneratorShape, encode
from shared import weights_option
from torch import Tensor, nn

from facepriv.inference.devices import bfloat16_units
from facepriv.testing import specimens
from speed.harness import TIMES, Ratio, Result, by_round, in_turns, milliseconds, part

#: Minimum ratio of faces per second to the plain StarGAN.
TIMES_STARGAN = 10.0
#: Minimum ratio of faces per second to the same weights in eager float32, whatever the processor. AMX multiplies
#: bfloat16 16 times as fast as AVX-512 multiplies float32, AVX512_BF16 only twice, and other processors not at all.
TIMES_OWN = 4.0
#: Maximum ratio of seconds to its convolutions alone.
TIMES_CONVOLUTIONS = 2.0
PLAIN, OWN, OURS, ALONE = "StarGAN, 64 channels", "ours, eager float32", "ours, as applied", "its convolutions alone"


@part(rounds=30, threads=1)
@weights_option
def generator(rounds: int, threads: int, weights: Path | None) -> Result:
    """PrivacyNet's generator, one face at a time.

    It runs against the plain StarGAN generator (64 channels, six residual blocks, eager float32, crops of the same
    size), its own weights in eager float32, and its own convolutions alone.
    """
    torch.set_num_threads(threads)
    method = PrivacyNet(weights)
    own, _ = load_generator(method.weights_path(), "cpu", method.variant.architecture)
    units = bfloat16_units("cpu")
    dtype = torch.bfloat16 if units else torch.float32
    quick = for_one_face(own, dtype)
    size = own.shape.size
    # As in StarGAN: labels as constant input channels, a new image through tanh, 64 channels, six blocks.
    shape = GeneratorShape(size, base=64, blocks=6, conditioning="channels", output="image")
    plain = Generator(shape).eval().requires_grad_(False)
    face = torch.from_numpy(specimens(size, landmarks=False).images[:1]).permute(0, 3, 1, 2)
    contiguous = face.contiguous()  # the default memory format of eager torch
    wanted = encode({name: torch.zeros(1, dtype=torch.int64) for name in ("gender", "race", "age")})
    with torch.inference_mode():
        differs = float((quick(face, wanted) - own(contiguous, wanted)).abs().max())
        jobs: dict[str, Callable[[], object]] = {
            PLAIN: lambda: plain(contiguous, wanted),
            OWN: lambda: own(contiguous, wanted),
            OURS: lambda: quick(face, wanted),
            ALONE: convolutions(quick, face, wanted),
        }
        seconds = in_turns(jobs, rounds)
    ours = seconds[OURS]
    ratios = {
        "times_stargan": Ratio("times the faces/s of StarGAN", by_round(seconds[PLAIN], ours), TIMES_STARGAN),
        "times_own": Ratio("times the faces/s of its own eager float32", by_round(seconds[OWN], ours), TIMES_OWN),
        "times_convolutions": Ratio(
            "times the seconds of its convolutions", by_round(ours, seconds[ALONE]), TIMES_CONVOLUTIONS, at_most=True
        ),
    }
    precision = str(dtype).removeprefix("torch.")
    return Result(
        f"generator, a face of {size} pixels, {threads} threads, {precision} ({units or 'no units for bfloat16'})",
        ("", *TIMES),
        [(name, *milliseconds(found)) for name, found in seconds.items()],
        ratios,
        {"size": size, "threads": threads, "dtype": precision, "units": units, "seconds": seconds, "differs": differs},
        [f"faces differ by {255 * differs:.2f} / 255 at most from those in float32"],
    )


def convolutions(network: nn.Module, x: Tensor, v: Tensor) -> Callable[[], None]:
    """Return a job that runs only a network's convolutions, on their inputs in the network."""
    given: list[tuple[nn.Module, Tensor]] = []
    layers = [layer for layer in network.modules() if isinstance(layer, LaidOut | nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [layer.register_forward_hook(lambda layer, args, _: given.append((layer, args[0]))) for layer in layers]
    network(x, v)
    for hook in hooks:
        hook.remove()

    def job() -> None:
        for layer, value in given:
            layer(value)

    return job
