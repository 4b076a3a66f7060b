"""What stands in a page's commands for the reader's own things: photos, data sets, packs, models, all small and made.

Faces are the two public-domain portraits of the demonstration. Everything carries the name that the pages use, so that
their lines run as they are.
"""

import shutil
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

#: Of each photo, around the face; and what it is scaled to.
_BOXES = ((130, 0, 330, 220), (110, 80, 430, 420))
_SIZE = (100, 110)
#: Two faces of every class, all of them in the training part, and enough others for 50 people of each gender there:
#: averages of fewer are refused. Few are left for validation, which takes most of a trainer's time here.
_UTKFACE = 48 + 110
_CELEBA = 12
_GENDERS = ("female", "male")


def photos(folder: Path, count: int = 4) -> None:
    """Write a folder of photos of two people, with ``labels.csv`` in it."""
    folder.mkdir(parents=True)
    rows = ["file,subject,gender,age"]
    for n in range(count):
        _face(n, folder / f"{n}.png")
        rows.append(f"{n}.png,p{n // 2},{_GENDERS[n % 2]},{30 + n}")
    (folder / "labels.csv").write_text("\n".join([*rows, ""]))


def labels(file: Path) -> None:
    """Write the labels of `photos`."""
    photos(folder := file.with_name("labelled"))
    shutil.move(folder / "labels.csv", file)


def photo(file: Path) -> None:
    """Write one photo of one face."""
    _face(0, file)


def shards(folder: Path) -> None:
    """Write a folder of two tar shards with a photo each."""
    folder.mkdir(parents=True)
    for n in range(2):
        _face(n, file := folder / f"{n}.png")
        with tarfile.open(folder / f"{n}.tar", "w") as archive:
            archive.add(file, file.name)
        file.unlink()


def celeba(folder: Path) -> None:
    """Write CelebA: lists of attributes and people, and photos."""
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{n:06d}.jpg" for n in range(_CELEBA)]
    for n, name in enumerate(names):
        _face(n, folder / "img_align_celeba" / name)
    rows = [f"{name} {'1' if n % 2 else '-1'}" for n, name in enumerate(names)]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(len(names)), "Male", *rows, ""]))
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} {n % 4}\n" for n, name in enumerate(names)))


def utkface(folder: Path) -> None:
    """Write UTKFace: names that tell age, gender and race, all classes of each."""
    folder.mkdir(parents=True)
    for n in range(_UTKFACE):
        age, race = ((25, 40, 60)[n // 2 % 3], n // 6 % 4) if n < 48 else (25, 0)
        _face(n, folder / f"{age}_{1 - n % 2}_{race}_{n:017d}.jpg.chip.jpg")


def lfw(folder: Path) -> None:
    """Write LFW: a folder of two photos a person, and their genders."""
    people = [f"Person_{n}" for n in range(4)]
    for n, name in enumerate(people):
        (folder / name).mkdir(parents=True)
        for shot in range(2):
            _face(n + 4 * shot, folder / name / f"{name}_000{shot + 1}.jpg")
    rows = [f"{name},{_GENDERS[n % 2]}" for n, name in enumerate(people)]
    (folder / "lfw_gender.csv").write_text("\n".join(["subject,gender", *rows, ""]))


def data(folder: Path) -> None:
    """Write the data sets' folder."""
    for write in (celeba, utkface, lfw):
        write(folder / write.__name__)


def mobilefacenet(file: Path) -> None:
    """Write a MobileFaceNet of random weights as its publishers did."""
    import torch
    from facepriv_estimators.mobilefacenet import MobileFaceNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _onnx(MobileFaceNet().eval(), file, 112)


def arcface(file: Path) -> None:
    """Write a network that embeds a face of 112 pixels: its colours in 16 places."""
    import torch

    _onnx(torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten()), file, 112)


def fairface(file: Path) -> None:
    """Write a network that gives 18 numbers for a face of 224 pixels."""
    import torch

    _onnx(torch.nn.Sequential(torch.nn.AvgPool2d((112, 74)), torch.nn.Flatten()), file, 224)


def authors_san(file: Path) -> None:
    """Write a file as SAN's authors saved theirs, of random weights."""
    import torch
    from facepriv_san.network import San

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(San().state_dict(), file, _use_new_zipfile_serialization=False)


def weights(file: Path) -> None:
    """Copy PrivacyNet's weights: a candidate that is as good."""
    from facepriv.weights import packaged_weights

    for end in ("", ".sha256"):
        source = packaged_weights("facepriv_privacynet.weights", "privacynet")
        shutil.copyfile(f"{source}{end}", f"{file}{end}")


#: Name in a page -> what writes it. A page's own commands may make it before; then it is theirs.
INPUTS: dict[str, Callable[[Path], None]] = {
    "photos": photos,
    "originals": photos,
    "protected": photos,
    "my-faces": photos,
    "photo.jpg": photo,
    "labels.csv": labels,
    "shards": shards,
    "lfw": lfw,
    "utkface": utkface,
    "DATA": data,
    "DIR": data,
    "data": data,
    "mobilefacenet.onnx": mobilefacenet,
    "arcface.onnx": arcface,
    "fairface.onnx": fairface,
    "conv-autoencoder-e20.pkl": authors_san,
    "FILE": weights,
}
#: Name in a page -> the command that makes it; these take long, and are made once for all pages.
MADE = {
    "PACK": "facepriv pack --data DATA -o PACK",
    "RUN_P": "facepriv train privacynet PACK --matcher mobilefacenet.onnx -o RUN_P",
}
#: Another name of the same.
ALIASES = {"runs/privacynet": "RUN_P", "runs/pack": "PACK"}


def _face(n: int, file: Path) -> None:
    """Write photo `n`: one of the portraits, in a light of its own."""
    from facepriv.samples import portraits

    with Image.open(portraits()[n % 2].path) as portrait:
        small = portrait.convert("RGB").crop(_BOXES[n % 2]).resize(_SIZE)
    pixels = np.asarray(small) * (1 - 0.3 * (n % 97) / 97)
    pixels[0, 0] = n % 256
    Image.fromarray(pixels.astype(np.uint8)).save(file, quality=95)


def _onnx(net, file: Path, side: int) -> None:  # type: ignore[no-untyped-def]
    import torch

    faces = torch.rand(2, 3, side, side)
    names = {"input_names": ["faces"], "output_names": ["answer"]}
    free = {"faces": {0: "N"}, "answer": {0: "N"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is the old one: the new one needs another package
        torch.onnx.export(net, (faces,), str(file), dynamo=False, dynamic_axes=free, **names)
