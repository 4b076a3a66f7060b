"""Light judges, and photos of made people: two real faces in many tints, bright ones called women."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facepriv.registry import registry

PLUGIN = """
    import numpy as np
    from facepriv.contracts import AttributeEstimator, FaceMatcher
    from facepriv.hookspecs import Descriptor, hookimpl

    FACEPRIV_CONTRACT = 2

    class Light(AttributeEstimator):
        attribute = "gender"
        trained_on = "nothing"

        def __init__(self, gain: float = 1.0, blind: bool = False):
            self.gain, self.blind = gain, blind

        def predict(self, images):
            female = np.clip(self.gain * images.mean(axis=(1, 2, 3)), 0, 1)
            female = np.full_like(female, 0.5) if self.blind else female
            return np.stack([1 - female, female], axis=1).astype(np.float32)

    class Years(AttributeEstimator):
        attribute, output, trained_on = "age", "years", "nothing"

        def predict(self, images):
            return (20 + 40 * images.mean(axis=(1, 2, 3))).astype(np.float32)

    class Tint(FaceMatcher):
        trained_on = "nothing"

        def embed(self, images):
            return images.mean(axis=(1, 2)).astype(np.float32)

    class Sure(Tint):
        threshold = 0.999

    class Failing(Tint):
        # One value for every face, which may be none; or for dark faces alone.
        def __init__(self, value: float = 1.0, dark: bool = False):
            self.value, self.dark = value, dark

        def embed(self, images):
            found = super().embed(images)
            found[(found.mean(axis=1) < 0.3) | (not self.dark)] = self.value
            return found

    @hookimpl
    def facepriv_components():
        return [
            Descriptor("estimator", "light", "eval_judges:Light", "a test's"),
            Descriptor("estimator", "blind", "eval_judges:Light", "a test's", options={"blind": True}),
            Descriptor("estimator", "years", "eval_judges:Years", "a test's"),
            Descriptor("matcher", "tint", "eval_judges:Tint", "a test's"),
            Descriptor("matcher", "sure", "eval_judges:Sure", "a test's"),
            Descriptor("matcher", "constant", "eval_judges:Failing", "a test's"),
            Descriptor("matcher", "nan", "eval_judges:Failing", "a test's", options={"value": float("nan")}),
            Descriptor("matcher", "infinite", "eval_judges:Failing", "a test's",
                       options={"value": float("inf"), "dark": True}),
        ]
"""


@pytest.fixture
def known(install_plugin):
    """Return a registry of the light judges, which are installed for child processes, too."""
    install_plugin("eval-judges", PLUGIN)
    return registry()


@pytest.fixture
def people(tmp_path, small_faces):
    """Return ``people(folder)``: writes 2 photos each of 10 people, and ``labels.csv`` beside the folder."""

    def write(folder="photos"):
        root = tmp_path / folder
        lines = ["file,subject,gender,age"]
        for person in range(10):
            woman = person % 2
            tint = np.array([1, 0.7 + 0.03 * person, 1 - 0.04 * person]) * (0.95 if woman else 0.45)
            for n, light in enumerate((1, 0.95)):
                name = f"p{person}/{n}.png"
                (root / f"p{person}").mkdir(parents=True, exist_ok=True)
                pixels = (small_faces[person // 2 % 2] * tint * light).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / name)
                lines.append(f"{name},p{person},{'female' if woman else 'male'},{30 + 3 * person}")
        (tmp_path / "labels.csv").write_text("\n".join([*lines, ""]))
        return root

    return write


@pytest.fixture
def changed():
    """Return ``changed(root, folder, change)``: copies photos, each changed as an array."""

    def write(root: Path, folder: str, change) -> Path:
        out = root.parent / folder
        for path in sorted(root.rglob("*.png")):
            target = out / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.asarray(change(np.asarray(Image.open(path)).astype(float)))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target)
        return out

    return write
