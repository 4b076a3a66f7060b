import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from facepriv.contracts import CONTRACT_VERSION, Perturber
from facepriv.errors import ContractError, PluginError, UsageError
from facepriv.hookspecs import KINDS, Descriptor, descriptors
from facepriv.registry import Registry, load_target, registry

GOOD = """
    from facepriv.contracts import Perturber
    from facepriv.hookspecs import Descriptor, hookimpl

    FACEPRIV_CONTRACT = 2

    @hookimpl
    def facepriv_components():
        return [Descriptor("method", "{name}", __name__ + ":{target}", "a method of a test")]

    class Method(Perturber):
        attributes = ("gender",)

        def __init__(self, amount=1):
            self.amount = amount

        def _perturb(self, faces, source, target, strength, rngs):
            return 1 - faces.images

    class Odd(Perturber):
        def __init__(self):
            raise {error}

        def _perturb(self, faces, source, target, strength, rngs):
            return faces.images

    class Unrelated:
        pass
"""
HOOK = """
    from facepriv.hookspecs import Descriptor, hookimpl

    FACEPRIV_CONTRACT = 2

    @hookimpl
    def facepriv_components():
        {body}
"""


def good(name, target="Method", error="ValueError('first line\\nsecond line')"):
    return GOOD.format(name=name, target=target, error=error)


def plugin(distribution):
    return next(p for p in registry().plugins if p.distribution == distribution)


def test_finds_an_installed_plugin_with_its_distribution_and_version(install_plugin):
    install_plugin("acme-blur", good("acme"))
    found = plugin("acme-blur")
    assert (found.version, found.error) == ("1.2.3", "")
    assert registry().descriptors("method")["acme"].summary == "a method of a test"
    assert registry().owner(registry().find("method", "acme")) is found
    assert isinstance(registry().create("method", "acme"), Perturber)


def test_create_takes_the_callers_options_over_the_descriptors(install_plugin):
    install_plugin("acme-blur", good("acme").replace('"a method of a test"', '"a", options={"amount": 2}'))
    assert registry().create("method", "acme").amount == 2
    assert registry().create("method", "acme", amount=5).amount == 5


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("raise RuntimeError('first\\nsecond')", "RuntimeError: first second"),
        ("this is no Python", "SyntaxError: "),
        ("raise SystemExit('left')", "SystemExit: left"),
        ("import sys; sys.exit()", "SystemExit"),
        ("FACEPRIV_CONTRACT = 2", "provides nothing: its hook facepriv_components is missing or returned None"),
        (HOOK.format(body="raise KeyError('inside the hook')"), "KeyError: 'inside the hook'"),
        (HOOK.format(body="raise SystemExit(3)"), "SystemExit: 3"),
        (HOOK.format(body="return None"), "returned None"),
        (HOOK.format(body="return 'blur'"), "returned str 'blur', expected Descriptors"),
        (HOOK.format(body="return 7"), "returned int 7, expected Descriptors"),
        (HOOK.format(body="return [{'name': 'blur'}]"), "returned dict {'name': 'blur'}, expected Descriptors"),
        (HOOK.format(body="yield 1; raise OSError('late')"), "OSError: late"),
        (HOOK.format(body="return [Descriptor('filter', 'x', 'a:B', '')]"), "kind must be one of method, "),
        (HOOK.format(body="return [Descriptor('matcher', 'x', 'a.B', '')]"), "got 'a.B'"),
        (HOOK.replace("facepriv_components()", "facepriv_component()").format(body="return []"), "facepriv_component'"),
    ],
)
def test_a_broken_plugin_is_listed_with_its_error_and_hurts_no_other(install_plugin, source, error):
    install_plugin("acme-blur", good("acme"))
    install_plugin("broken-thing", source)
    broken = plugin("broken-thing")
    assert error in broken.error
    assert "\n" not in broken.error
    assert broken.components == ()
    assert plugin("acme-blur").error == ""
    assert registry().find("method", "acme").name == "acme"
    assert any("broken-thing" in text and error in text for text in registry().problems())


@pytest.mark.parametrize("version", [CONTRACT_VERSION + 1, 0, "'1'"])
def test_a_plugin_for_another_contract_version_is_listed_and_not_asked(install_plugin, version):
    source = HOOK.format(body="raise SystemError('it was asked')").replace("CONTRACT = 2", f"CONTRACT = {version}")
    install_plugin("from-another-time", source)
    found = plugin("from-another-time")
    assert f"contract version {str(version).strip(chr(39))}, this facepriv supports {CONTRACT_VERSION}" in found.error
    assert found.components == ()


def test_a_plugin_that_names_no_contract_version_gets_a_fix(install_plugin):
    install_plugin("forgetful", "x = 1")
    assert f"FACEPRIV_CONTRACT = {CONTRACT_VERSION}" in plugin("forgetful").error


def test_a_clash_names_both_distributions_and_leaves_other_names_alone(install_plugin):
    install_plugin("acme-blur", good("same"))
    install_plugin("other-blur", good("same"))
    install_plugin("third", good("third"))
    line = "method 'same' is claimed by acme-blur and other-blur: uninstall one of them"
    with pytest.raises(PluginError, match=line):
        registry().find("method", "same")
    assert registry().clashes() == [line]
    assert "same" not in registry().descriptors("method")
    assert registry().find("method", "third").name == "third"


def test_a_name_that_one_distribution_brings_twice_is_its_own_fault(install_plugin):
    body = "return 2 * [Descriptor('matcher', 'twin', 'a:B', '')]"
    install_plugin("twins", HOOK.format(body=body))
    assert registry().clashes() == ["matcher 'twin' is provided twice by twins: rename one of them there"]


def test_one_name_may_stand_for_a_method_and_a_matcher(install_plugin):
    install_plugin("acme-blur", good("same"))
    install_plugin("acme-match", HOOK.format(body="return [Descriptor('matcher', 'same', 'a:B', '')]"))
    assert registry().clashes() == []
    assert registry().find("matcher", "same").kind == "matcher"


def test_an_unknown_name_gives_the_nearest_and_says_what_was_not_loaded(install_plugin):
    install_plugin("acme-blur", good("gaussian-blur"))
    install_plugin("acme-match", HOOK.format(body="return [Descriptor('matcher', 'acme', 'a:B', '')]"))
    install_plugin("broken-thing", "raise RuntimeError")
    with pytest.raises(UsageError) as caught:
        registry().find("method", "gausian-blur")
    text = str(caught.value)
    assert "unknown method 'gausian-blur' (did you mean 'gaussian-blur'" in text
    assert "not loaded: broken-thing" in text
    with pytest.raises(UsageError, match=r"unknown matcher 'zzzz': known are .*acme"):
        registry().find("matcher", "zzzz")


def test_an_environment_without_plugins_says_so():
    with pytest.raises(UsageError, match="unknown method 'blur': none is installed"):
        Registry.discover([]).find("method", "blur")


def test_an_entry_point_of_no_distribution_is_known_by_its_value():
    found = Registry.discover([EntryPoint("x", "no_such_module_anywhere", "facepriv")])
    assert found.plugins[0].distribution == "no_such_module_anywhere"
    assert "ModuleNotFoundError" in found.plugins[0].error


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("no_such_module_anywhere:X", "ModuleNotFoundError"),
        ("facepriv.schema:NoSuchName", "AttributeError"),
    ],
)
def test_a_target_that_cannot_be_imported_is_one_line_with_its_path(target, error):
    with pytest.raises(PluginError) as caught:
        load_target(Descriptor("method", "lost", target, ""))
    assert f"method 'lost' cannot be loaded from {target}: {error}" in str(caught.value)


def test_a_target_that_exits_at_import_is_an_error_and_not_the_end(install_plugin, tmp_path):
    install_plugin("acme-blur", HOOK.format(body="return [Descriptor('method', 'quitter', 'quitter:X', '')]"))
    (tmp_path / "site-packages" / "quitter.py").write_text("raise SystemExit('bye')")
    with pytest.raises(PluginError, match="cannot be loaded from quitter:X: SystemExit: bye"):
        registry().create("method", "quitter")


def test_a_constructor_that_raises_is_one_line_and_our_own_errors_pass(install_plugin):
    install_plugin("acme-odd", good("odd", "Odd"))
    with pytest.raises(PluginError, match=r"^method 'odd' cannot be built \(no options\): ValueError: first"):
        registry().create("method", "odd")
    install_plugin("acme-own", good("own", "Odd", "__import__('facepriv').errors.UsageError('mine')"))
    with pytest.raises(UsageError, match=r"^mine$"):
        registry().create("method", "own")


def test_an_option_that_the_class_does_not_take_is_named(install_plugin):
    install_plugin("acme-blur", good("acme"))
    with pytest.raises(PluginError, match=r"cannot be built \(colour='red'\): TypeError: .*'colour'"):
        registry().create("method", "acme", colour="red")


def test_a_component_of_another_class_than_its_kind_is_refused(install_plugin):
    install_plugin("acme-blur", good("acme", "Unrelated"))
    with pytest.raises(PluginError, match="method 'acme' is a Unrelated, not a Perturber"):
        registry().create("method", "acme")


def test_a_target_is_imported_on_first_use_only(install_plugin, tmp_path):
    install_plugin("lazy-thing", HOOK.format(body="return [Descriptor('method', 'lazy', 'lazy_heavy:X', '')]"))
    (tmp_path / "site-packages" / "lazy_heavy.py").write_text("from facepriv.contracts import Perturber as X")
    assert load_target(registry().find("method", "lazy")) is Perturber
    code = "from facepriv.registry import registry as r; r().find('method', 'lazy'); import sys; print(*sys.modules)"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "lazy_thing" in seen
    assert "lazy_heavy" not in seen


def test_finding_all_installed_plugins_imports_nothing_heavy():
    heavy = ("torch", "scipy", "skimage", "dlib", "onnxruntime", "matplotlib", "PIL", "click", "safetensors")
    code = f"""
import sys
from facepriv.registry import registry
for kind in {KINDS!r}:
    registry().descriptors(kind)
print([name for name in {heavy!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_descriptor_must_have_a_name():
    with pytest.raises(ContractError, match="the name is empty"):
        Descriptor("method", "", "a:B", "")


def test_what_belongs_to_one_method_has_its_name_and_reference_and_the_method_alone_its_attributes():
    method, trainer = descriptors("pack", "blur", "paper", ("age",), method=("m:Blur", "a"), trainer=("c:run", "b"))
    assert method == Descriptor("method", "blur", "pack.m:Blur", "a", "paper", ("age",))
    assert trainer == Descriptor("trainer", "blur", "pack.c:run", "b", "paper")
    with pytest.raises(ContractError, match="'blur': kind must be one of"):
        descriptors("pack", "blur", "paper", (), metod=("m:Blur", "a"))
