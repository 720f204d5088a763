"""SGLang without an accelerator: the kernel stand-in, the boot hook, the recipe and its installer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.engine.sglang_cpu import boot, models, recipe, setup, stand_in
from reference_server.engine.sglang_cpu.models import ModelError
from reference_server.engine.sglang_cpu.setup import SetupError, place_stand_in

ROOT = Path(__file__).parents[1]
CONSTRAINTS = (Path(setup.__file__).parent / "constraints.txt").read_text(encoding="utf-8").splitlines()


# ---------------------------------------------------------------- the kernel stand-in


class Row(list[int]):
    """One row of a table, or a list of slots: what the stand-in asks of a tensor."""

    dtype = "int"

    def to(self, dtype: str) -> Row:
        assert dtype == "int"
        return self

    def tolist(self) -> list[int]:
        return list(self)

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 - as a tensor's
        got = super().__getitem__(at)
        return Row(got) if isinstance(at, slice) else got


class Table(list[Row]):
    """Rows that are indexed by (row, columns), as a tensor is."""

    dtype = "int"

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 - as a tensor's
        return super().__getitem__(at[0])[at[1]] if isinstance(at, tuple) else super().__getitem__(at)

    def __setitem__(self, at: Any, value: Any) -> None:  # noqa: ANN401 - as a tensor's
        super().__getitem__(at[0])[at[1]] = value


WIDTH = 8
windows = st.lists(st.tuples(st.integers(0, WIDTH), st.integers(0, WIDTH)).map(sorted), min_size=1, max_size=4)


@given(spans=windows)
def test_slots_written_to_the_table_are_read_back_from_it(spans: list[list[int]]) -> None:
    rows, starts, ends = Row(range(len(spans))), Row(a for a, _ in spans), Row(b for _, b in spans)
    slots = Row(range(100, 100 + sum(b - a for a, b in spans)))
    table, collected = Table(Row([-1] * WIDTH) for _ in spans), Row([0] * len(slots))

    stand_in.assign_req_to_token_pool_cpu(rows, table, starts, ends, slots, WIDTH)
    stand_in.assign_extend_cache_locs_cpu(rows, table, starts, ends, collected, WIDTH)

    assert collected == slots
    for row, (begin, end) in zip(table, spans, strict=True):
        assert row[:begin] == [-1] * begin
        assert row[end:] == [-1] * (WIDTH - end)


def test_the_stand_in_works_on_tensors() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed here", exc_type=ImportError)
    table = torch.zeros((3, 6), dtype=torch.int32)
    rows, starts, ends = torch.tensor([2, 0]), torch.tensor([1, 0]), torch.tensor([4, 2])
    slots = torch.tensor([7, 8, 9, 5, 6])

    stand_in.assign_req_to_token_pool_cpu(rows, table, starts, ends, slots, 6)

    assert table.tolist() == [[5, 6, 0, 0, 0, 0], [0] * 6, [0, 7, 8, 9, 0, 0]]


def test_a_kernel_that_the_stand_in_lacks_can_be_imported_but_not_called() -> None:
    kernel = stand_in.build_tree_efficient_cpu

    with pytest.raises(NotImplementedError, match="build_tree_efficient_cpu"):
        kernel(1, two=2)


def test_the_stand_in_pretends_nothing_beyond_cpu_kernels() -> None:
    with pytest.raises(AttributeError, match="flash_attn"):
        _ = stand_in.flash_attn


# ---------------------------------------------------------------- the boot hook


@pytest.fixture
def finders(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    return sys.meta_path


def test_the_hook_waits_for_two_packages_and_acts_once_for_each(
    finders: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    declared: list[str] = []
    monkeypatch.setattr(boot, "declare", declared.append)
    boot.install()
    boot.install()
    (hook,) = [finder for finder in finders if isinstance(finder, boot.Watcher)]

    hook.find_spec("json")
    assert declared == []

    for name in ("torchvision", "sgl_kernel", "torchvision", "sgl_kernel"):
        hook.find_spec(name)
    assert declared == ["torchvision", "sgl_kernel"]


def test_only_operators_that_are_missing_are_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    defined = []

    class Library:
        def __init__(self, *_: str) -> None: ...

        def define(self, schema: str) -> None:
            defined.append(schema.partition("(")[0])

    torch: Any = ModuleType("torch")
    torch.ops = type("Ops", (), {"torchvision": type("Known", (), {"nms": 1})})
    torch.library = type("Module", (), {"Library": Library})
    monkeypatch.setitem(sys.modules, "torch", torch)

    boot.declare("torchvision")

    assert defined == ["qnms"]


def test_declared_operators_are_known_to_torch_and_cannot_be_called() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed here", exc_type=ImportError)

    boot.declare("sgl_kernel")

    for schema in boot.SCHEMAS["sgl_kernel"]:
        with pytest.raises(NotImplementedError):
            getattr(torch.ops.sgl_kernel, schema.partition("(")[0])()


# ---------------------------------------------------------------- recipe and installer


def test_the_installer_places_the_stand_in_where_children_find_it(tmp_path: Path) -> None:
    place_stand_in(tmp_path)
    place_stand_in(tmp_path)

    code = (
        "import sys, sgl_kernel; assert callable(sgl_kernel.any_cpu); print(sgl_kernel.__version__, len(sys.meta_path))"
    )
    command = [sys.executable, "-S", "-c", f"import site; site.addsitedir({str(tmp_path)!r}); {code}"]
    with_hook = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert with_hook == [stand_in.__version__, "4"]  # Python's three finders and ours


def test_a_real_kernel_package_is_never_hidden(tmp_path: Path) -> None:
    (tmp_path / "sglang_kernel-0.4.9.dist-info").mkdir()

    with pytest.raises(SetupError, match="a real kernel package"):
        place_stand_in(tmp_path)

    assert not (tmp_path / "sgl_kernel").exists()


def test_a_step_that_fails_is_named_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="could not try; the command was: false") as failed:
        setup._run("try", ["false", str(tmp_path)])

    assert str(tmp_path) in str(failed.value)


def offering(versions: str) -> list[str]:
    """In place of pip: a command that says which versions it knows."""
    return [sys.executable, "-c", f"print('torch (2.15.0)\\nAvailable versions: {versions}')"]


@pytest.mark.parametrize(
    ("versions", "works"),
    [
        ("2.15.0, 2.13.0+cpu, 2.13.0", True),
        ("2.15.0, 2.13.0", False),
        ("2.13.0+cpu.cxx11", False),
        ("12.13.0+cpu", False),
    ],
)
def test_an_index_without_the_build_for_cpus_is_an_obstacle(
    versions: str, *, works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "_offers", lambda _: offering(versions))
    monkeypatch.setattr(setup, "_available_memory", lambda: recipe.MEMORY)
    monkeypatch.setattr(setup, "DISK", 1)

    found = setup.obstacle(tmp_path / "new")

    assert (found is None) == works
    assert works or "offer no torch 2.13.0+cpu" in str(found)


def test_an_environment_that_holds_the_build_needs_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "_offers", lambda _: offering("none"))
    monkeypatch.setattr(setup, "_available_memory", lambda: recipe.MEMORY)
    (tmp_path / f"lib/python3.11/site-packages/torch-{recipe.TORCH}.dist-info").mkdir(parents=True)

    assert setup.obstacle(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("DISK", 2**80, "are free where"), ("MEMORY", 2**80, "of memory are free")],
)
def test_a_machine_that_is_too_small_changes_nothing_and_says_what_it_lacks(
    name: str,
    value: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(setup, "MEMORY", 1)
    monkeypatch.setattr(setup, name, value)

    assert setup.main(["--venv", str(tmp_path / "new")]) == 1

    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_check_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "obstacle", lambda _: None)

    assert setup.main(["--venv", str(tmp_path / "new"), "--check"]) == 0

    assert list(tmp_path.iterdir()) == []


def test_every_pin_of_the_recipe_agrees_with_the_constraints() -> None:
    held = {name: version for name, _, version in (line.partition("==") for line in CONSTRAINTS)}
    pins = [
        (found[1], found[2])
        for step in recipe.STEPS
        for r in step.requirements
        if (found := re.fullmatch(r"([\w-]+)==(.+)", r))
    ]

    assert pins
    assert {name: held[name] for name, _ in pins} == dict(pins)
    assert recipe.TORCH.partition("+")[0] == held["torch"]


def test_the_engine_comes_without_the_dependencies_that_need_a_gpu() -> None:
    (engine,) = [step for step in recipe.STEPS if any(r.startswith("sglang==") for r in step.requirements)]

    assert not engine.dependencies
    assert not [
        line for line in CONSTRAINTS if line.startswith(("nvidia-cu", "torchaudio", "flashinfer", "sglang-kernel"))
    ]


# ---------------------------------------------------------------- models


def test_a_model_is_made_once_and_appears_only_when_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(folder: Path) -> None:
        assert not (tmp_path / "cache" / "m").exists()
        (folder / "config.json").write_text("{}")
        made.append(folder)

    monkeypatch.setitem(models.MODELS, "m", ("m", make))
    monkeypatch.setattr(models, "_without_progress_bars", lambda: None)

    first, second = models.prepare("m", tmp_path / "cache"), models.prepare("m", tmp_path / "cache")

    assert first == second == tmp_path / "cache" / "m"
    assert len(made) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["m"]


def test_outside_the_environment_the_user_is_told_where_to_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(_: Path) -> None:
        raise ModuleNotFoundError("No module named 'torch'")

    monkeypatch.setitem(models.MODELS, "m", ("m", make))
    monkeypatch.setattr(models, "_without_progress_bars", lambda: None)

    with pytest.raises(ModelError, match=r"No module named 'torch'; run this in the environment"):
        models.prepare("m", tmp_path)

    assert list(tmp_path.iterdir()) == []
