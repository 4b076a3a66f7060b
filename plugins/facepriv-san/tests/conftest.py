"""Networks, prototypes and files that the tests share. Nothing here is trained: what it draws looks like nothing."""

import numpy as np
import pytest
import torch
from facepriv_san import family, prototypes
from facepriv_san.network import San
from torch import nn

from facepriv.weights import Provenance, load_weights, packaged_weights

PROVENANCE = Provenance(trained_on="nothing", command="none", date="2020-01-01", seen=("mobilefacenet",))


@pytest.fixture(scope="session")
def authors_file(external_weights):
    """The published weights, which are not part of the project."""
    return external_weights("san_iprobe_e20.pkl")


@pytest.fixture(scope="session")
def averages():
    """The prototypes that the package ships."""
    return prototypes.load(packaged_weights("facepriv_san.weights", "prototypes"))


@pytest.fixture(scope="session")
def weights_of(tmp_path_factory, averages):
    """Return ``weights_of(count)``: the file of a family of networks of random weights, the later ones diverse."""

    def make(count, **form):
        path = tmp_path_factory.mktemp("family") / "made.safetensors"
        torch.manual_seed(0)
        nets = nn.ModuleList(San() for _ in range(count))
        for net in nets:
            net.protocombiner[0].weight.data.mul_(4)  # so that a prototype shows
        tensors = family.small(nets.state_dict())
        diverse = [k > 0 for k in range(count)]
        extra = {"prototypes": averages.sha256}
        family.save(path, tensors, diverse, family.Form(**{"size": 32, **form}), PROVENANCE, extra)
        return path

    return make


@pytest.fixture
def saved_again(averages):
    """Return ``saved_again(path, form)``: the same networks, used in another way."""

    def make(path, **form):
        weights = load_weights(path, framework="torch")
        config = weights.metadata.config
        other = path.with_name("-".join(map(str, form.values())) + path.name)
        extra = {"prototypes": averages.sha256}
        chosen = family.Form(**{**config["form"], **form})
        family.save(other, weights.tensors, config["diverse"], chosen, PROVENANCE, extra)
        return other

    return make


@pytest.fixture
def rngs():
    return lambda count, seed=0: [np.random.default_rng([seed, n]) for n in range(count)]
