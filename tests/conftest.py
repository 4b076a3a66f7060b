"""Fixtures that several test files use."""

import importlib
import sys
from textwrap import dedent

import pytest

from facepriv.registry import registry


@pytest.fixture
def install_plugin(tmp_path, monkeypatch):
    """Return ``install(distribution, source)``: lays a distribution as pip would, for this process and its children.

    `source` is the text of its one module, named like the distribution with underscores; the entry point names it.
    """
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    modules = []

    def install(distribution, source, version="1.2.3"):
        module = distribution.replace("-", "_")
        modules.append(module)
        (site / f"{module}.py").write_text(dedent(source))
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[facepriv]\n{module} = {module}\n")
        importlib.invalidate_caches()
        registry.cache_clear()

    yield install
    registry.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)
