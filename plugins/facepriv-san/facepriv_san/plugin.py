"""The plugin's entry point; imports no heavy package."""

from __future__ import annotations

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2

_SAN = "Mirjalili, Raschka, Namboodiri, Ross: Semi-adversarial networks, ICB 2018"
_ENSEMBLE = "Mirjalili, Raschka, Ross: Gender privacy, an ensemble of semi adversarial networks, BTAS 2018"
_FLOW = "Mirjalili, Raschka, Ross: FlowSAN, IEEE Access 2019"
_METHODS = {
    "san": ("San", "autoencoder that shifts gender, keeps identity", _SAN),
    "ensemble-san": ("EnsembleSan", "several SANs trained against different judges", _ENSEMBLE),
    "flow-san": ("FlowSan", "SANs in sequence, trained one after the other", _FLOW),
}


@hookimpl
def facepriv_components() -> list[Descriptor]:
    """Return the methods, their trainers, and the converter of the authors' weights."""
    found = []
    for name, (target, summary, reference) in _METHODS.items():
        method = f"facepriv_san.method:{target}"
        found.append(Descriptor("method", name, method, summary, reference, attributes=("gender",)))
        trainer = f"facepriv_san.cli:{name.replace('-', '_')}"
        found.append(Descriptor("trainer", name, trainer, f"train {name} from a pack of aligned faces", reference))
    averages = "average the aligned faces of a pack by gender, age group and race"
    found.append(Descriptor("trainer", "san-prototypes", "facepriv_san.cli:prototypes", averages, _SAN))
    found.append(Descriptor("converter", "san", "facepriv_san.convert:command", "the SAN authors' weights", _SAN))
    return found
