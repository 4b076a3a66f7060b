"""Methods that are declared wrongly, return what they must not, or work on some faces only."""

import numpy as np
from scipy.ndimage import gaussian_filter

from kit_methods.right import Darken, Landmarked, variant


class NoPerturber:
    pass


NothingDeclared = variant("NothingDeclared", attributes=())
UnknownDeclared = variant("UnknownDeclared", attributes=("gendre",))
NegativeSize = variant("NegativeSize", crop_size=-1)
NeedsMusic = variant("NeedsMusic", needs=frozenset({"music"}))
OddPaste = variant("OddPaste", paste="overlay")
NoInfo = variant("NoInfo", info=lambda self: {})
NumberedVersion = variant("NumberedVersion", info=lambda self: {"version": 1.0, "weights": "", "seen": []})
ObjectsInInfo = variant("ObjectsInInfo", info=lambda self: {"version": "", "weights": "", "seen": [object()]})
TypeInInfo = variant("TypeInInfo", info=lambda self: {"version": "", "weights": "", "seen": [], "dtype": np.float32})
Raises = variant("Raises", _perturb=lambda self, faces, *_: faces.pictures)
Cropped = variant("Cropped", _perturb=lambda self, faces, *_: faces.images[:, 1:, 1:])
Bytes = variant("Bytes", _perturb=lambda self, faces, *_: (faces.images * 200).astype(np.uint8))


class Overriding(Darken):
    """Base of methods that get past the core by overriding the final `perturb`."""

    def perturb(self, faces, source, target, *, strength=1.0, rngs):
        return faces.images * np.float32(1 - 0.5 * strength)


class Doubles(Overriding):
    def perturb(self, *args, **options):
        return super().perturb(*args, **options).astype(np.float64)


class OutOfRange(Overriding):
    def perturb(self, *args, **options):
        return super().perturb(*args, **options) - np.float32(0.6)


class Scaled(Darken):
    """Returns levels of an 8-bit photo: clipped, the face would be white."""

    def _perturb(self, faces, *_):
        return faces.images * np.float32(200)


Overshoots = variant("Overshoots", _perturb=lambda self, faces, *_: faces.images - np.float32(0.1))


class Blur(Darken):
    """Removes detail, and leaves `paste` as it is: a warning, no failure."""

    def _perturb(self, faces, source, target, strength, rngs):
        sigma = strength * faces.images.shape[1] / 16
        return gaussian_filter(faces.images, (0, sigma, sigma, 0))


NotFinite = variant("NotFinite", _perturb=lambda self, faces, *_: np.log(faces.images * 0))
Identity = variant("Identity", _perturb=lambda self, faces, *_: faces.images)


class LeavesOneFace(Darken):
    def _perturb(self, faces, *_):
        out = faces.images * np.float32(0.5)
        out[1] = faces.images[1]
        return out


class WritesToImages(Darken):
    def _perturb(self, faces, *_):
        faces.images[:] *= np.float32(0.5)
        return faces.images


class WritesToLandmarks(Landmarked):
    def _perturb(self, faces, *_):
        faces.landmarks[:] += 1
        return faces.images * np.float32(0.5)


class WritesToTargets(Darken):
    def _perturb(self, faces, source, target, *_):
        target["gender"][:] = 0
        return faces.images * np.float32(0.5)


class WritesToLabels(Darken):
    def _perturb(self, faces, source, *_):
        source["age"][:] = 0
        return faces.images * np.float32(0.5)


ReturnsTheInput = variant("ReturnsTheInput", Overriding, perturb=lambda self, faces, *args, **options: faces.images)
NoEmptyBatch = variant(
    "NoEmptyBatch",
    Overriding,
    perturb=lambda self, faces, *args, **options: np.stack([image * np.float32(0.5) for image in faces.images]),
)
FlatEmptyBatch = variant(
    "FlatEmptyBatch",
    Overriding,
    perturb=lambda self, faces, *args, **options: np.array(
        [image * np.float32(0.5) for image in faces.images], np.float32
    ),
)
AlwaysFull = variant(
    "AlwaysFull", Overriding, perturb=lambda self, faces, *args, **options: faces.images * np.float32(0.5)
)


class FullOnly(Darken):
    def _perturb(self, faces, source, target, strength, rngs):
        if strength < 1:
            raise ValueError("no such strength")
        return faces.images * np.float32(0.5)


OneSizeOnly = variant(
    "OneSizeOnly",
    _perturb=lambda self, faces, *_: faces.images * np.linspace(0.2, 0.8, 128, dtype=np.float32)[:, None, None],
)
WantsRace = variant(
    "WantsRace",
    _perturb=lambda self, faces, source, *_: (
        faces.images * np.float32(0.5) + source["race"][:, None, None, None] * np.float32(0.01)
    ),
)


class WantsKnownClasses(Darken):
    def _perturb(self, faces, source, *_):
        if min(source["gender"]) < 0:
            raise ValueError("unknown gender")
        return faces.images * np.float32(0.5)


#: Check, method that breaks it, and what the check says.
BROKEN = [
    ("constructor_reads_nothing", NoPerturber, "built a NoPerturber, not a Perturber"),
    ("declarations", NothingDeclared, "declares no attribute"),
    ("declarations", UnknownDeclared, "unknown attribute 'gendre'"),
    ("declarations", NegativeSize, "crop_size is -1"),
    ("declarations", NeedsMusic, "needs unknown things: music"),
    ("declarations", OddPaste, "paste is 'overlay'"),
    ("declarations", Overriding, "overrides perturb, which is final"),
    ("info_is_complete", NoInfo, r"info\(\) has no 'version'"),
    ("info_is_complete", NumberedVersion, r"info\(\)\['version'\] is 1.0, expected a str"),
    ("info_is_complete", ObjectsInInfo, "not JSON serializable"),
    ("info_is_complete", TypeInInfo, r"info\(\)\['dtype'\] is .*float32.*, expected a str"),
    ("shape_and_dtype", Cropped, r"Cropped returned \(3, 127, 127, 3\), expected \(3, 128, 128, 3\)"),
    ("shape_and_dtype", Bytes, "Bytes returned uint8, expected floats"),
    ("shape_and_dtype", Doubles, "dtype float64, expected float32"),
    ("works", NoPerturber, "built a NoPerturber, not a Perturber"),
    ("works", Raises, r"AttributeError: .* 'pictures' \(broken_form.py, line \d+\)"),
    ("values_in_range", Scaled, r"Scaled returned values in \[0, 1\d\d.*\], expected \[0, 1\]: scale them, or clip"),
    ("values_in_range", Overshoots, r"Overshoots returned values in \[-0.1"),
    ("values_in_range", OutOfRange, r"values in \[-0.6, "),
    ("values_finite", NotFinite, "NotFinite returned NaN or infinity"),
    ("changes_the_face", Identity, r"unchanged faces: \[0, 1, 2\]"),
    ("changes_the_face", LeavesOneFace, r"unchanged faces: \[1\]"),
    ("input_untouched", WritesToImages, "wrote to the images"),
    ("input_untouched", WritesToLandmarks, "wrote to the landmarks"),
    ("input_untouched", WritesToTargets, "wrote to the targets of gender"),
    ("input_untouched", WritesToLabels, "wrote to the labels of age"),
    ("input_untouched", ReturnsTheInput, "returned the memory of the input"),
    ("empty_batch", NoEmptyBatch, "ValueError: need at least one array to stack"),
    ("empty_batch", FlatEmptyBatch, r"shape \(0,\), expected \(0, 128, 128, 3\)"),
    ("strength_zero_is_identity", AlwaysFull, "at strength 0: differs"),
    ("every_strength_works", FullOnly, "ValueError: no such strength"),
    ("other_crop_sizes", OneSizeOnly, "ValueError: operands could not be broadcast"),
    ("unknown_labels_work", WantsRace, "KeyError: 'race'"),
    ("unknown_labels_work", WantsKnownClasses, "ValueError: unknown gender"),
    ("bad_images_refused", Overriding, "float64 images: accepted, expected ContractError"),
    ("bad_arguments_refused", Overriding, "too few rngs: accepted, expected ContractError"),
    ("unknown_attribute_refused", Overriding, "an unknown attribute: accepted, expected UsageError"),
    ("undeclared_change_refused", Overriding, "a change of race: accepted, expected UsageError"),
]
