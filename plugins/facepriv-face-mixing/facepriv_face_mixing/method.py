"""Face mixing as a method: choose a face of the wanted class, morph with it, paste the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np

from facepriv.contracts import FaceBatch, Images, Labels, Perturber, Rngs
from facepriv.errors import UsageError
from facepriv.weights import load_weights
from facepriv_face_mixing import candidates
from facepriv_face_mixing import gallery as galleries
from facepriv_face_mixing.candidates import Classes, Policy
from facepriv_face_mixing.gallery import Gallery
from facepriv_face_mixing.mixing import Image, Points, mix


class FaceMixing(Perturber):
    """Morphs each face with a face of the wanted class (Othman and Ross, 2014).

    Parameters
    ----------
    shape, texture : float, 0 to 1
        Share of the other face's shape and texture at full strength; the paper's alphas.
    candidate : {"prototype", "shape", "tone", "random"}
        The gallery face to use: the mean of all of the wanted class; the nearest in shape or in skin tone among the
        best matches; or any of the wanted class, drawn for each face.
    match_tone : bool
        Whether the other face is first adjusted to the photo's mean colour and contrast.
    gallery : path-like or None
        A folder of photos to mix with, instead of the packaged averages.
    weights : path-like or None
        A file of averages, see ``facepriv train face-mixing``; None: the packaged one.

    Raises
    ------
    UsageError
        If an alpha or the candidate policy is invalid.
    """

    #: In experiments, averages of another race or age hardly changed the classifiers' output for these: see the README.
    attributes: ClassVar[tuple[str, ...]] = ("gender",)
    crop_size: ClassVar[int] = 448
    needs: ClassVar[frozenset[str]] = frozenset({"landmarks", "labels"})
    paste = "replacement"

    def __init__(
        self,
        shape: float = 0.5,
        texture: float = 0.5,
        candidate: Policy = "prototype",
        match_tone: bool = True,
        gallery: str | Path | None = None,
        weights: str | Path | None = None,
    ) -> None:
        for name, value in (("shape", shape), ("texture", texture)):
            if not 0 <= value <= 1:
                raise UsageError(f"face-mixing: {name} must be between 0 and 1, got {value:g}")
        if candidate not in get_args(Policy):
            raise UsageError(f"face-mixing: candidate '{candidate}' is none of {', '.join(get_args(Policy))}")
        if gallery is not None and weights is not None:
            raise UsageError("face-mixing: gallery and weights both name the faces to mix with: give one of them")
        self.shape, self.texture, self.candidate, self.match_tone = shape, texture, candidate, match_tone
        self.gallery, self.weights = gallery, weights

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether the candidate is drawn."""
        return self.candidate == "random"

    def to(self, device: str) -> FaceMixing:
        """Read or analyse the faces to mix with, so that errors in them are raised first; return self.

        The method always runs on the CPU, whatever `device` is.
        """
        self.faces_to_mix_with()
        return self

    def info(self) -> dict[str, Any]:
        """Return the version, a hash of the faces to mix with, and the evaluators used to choose the defaults."""
        from facepriv_face_mixing import __version__

        if self.gallery is None:
            sha256 = load_weights(self.weights_path(), architecture=galleries.ARCHITECTURE).sha256
        else:
            from facepriv_face_mixing.photos import gallery_key

            sha256 = gallery_key(Path(self.gallery))
        return {"version": __version__, "weights": sha256, "seen": ["family-a-gender", "mobilefacenet"]}

    def weights_path(self) -> Path:
        """Return the path of the averages in use."""
        return Path(self.weights) if self.weights else galleries.shipped()

    def faces_to_mix_with(self) -> Gallery:
        """Return the gallery in use, read or analysed once."""
        if self.gallery is None:
            return galleries.load(self.weights_path())
        from facepriv_face_mixing.photos import analysed

        return analysed(Path(self.gallery))

    def _perturb(self, faces: FaceBatch, source: Labels, target: Labels, strength: float, rngs: Rngs) -> Images:
        gallery = self.faces_to_mix_with()
        assert faces.landmarks is not None  # the core ensures it
        settings = {"match_tone": self.match_tone, "window": gallery.window}
        out = np.empty_like(faces.images)
        for n, (image, points) in enumerate(zip(faces.images, faces.landmarks, strict=True)):
            own, wanted = ({name: int(labels[name][n]) for name in labels} for labels in (source, target))
            other = self._candidate(gallery, image, points, own, wanted, rngs[n])
            shares = {"shape": strength * self.shape, "texture": strength * self.texture}
            out[n] = mix(image, points, *other, **shares, **settings)
        return out

    def _candidate(
        self, gallery: Gallery, image: Image, points: Points, own: Classes, wanted: Classes, rng: np.random.Generator
    ) -> tuple[Image, Points]:
        """Return picture and landmarks (in the crop of side 1) of the face to mix with."""
        found = candidates.matching(gallery, own, wanted)
        if self.candidate == "prototype":
            return candidates.prototype(gallery, found)
        if self.candidate == "random":
            index = int(rng.choice(found))
        elif self.candidate == "tone":
            index = candidates.nearest_tone(gallery, candidates.closest(gallery, found, wanted), image, points)
        else:
            in_crop = (points + 0.5) / image.shape[0]
            index = candidates.nearest_shape(gallery, candidates.closest(gallery, found, wanted), in_crop)
        return gallery.picture(index), gallery.points[index]
