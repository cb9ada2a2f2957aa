"""The ``transpalette`` command: its help, ``render``, ``check`` and shell completion."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from blender.contract.render_options import RENDER_OPTIONS, add_render_options
from pipeline.cli import SECTIONS, main
from pipeline.cli.data import FORMATS, LAYOUTS
from pipeline.common.processes import module_command
from pipeline.data import formats
from tests.conftest import TINY, run


def test_help_lists_every_command_in_one_section() -> None:
    listed = [str(command.name) for commands in SECTIONS.values() for command in commands]
    assert sorted(listed) == sorted(main.commands)
    text = CliRunner().invoke(main, ["--help"]).output
    for title, commands in SECTIONS.items():
        section = text.split(f"{title}:\n")[1].split("\n\n")[0].splitlines()
        assert [line.split()[0] for line in section] == [command.name for command in commands]
        assert not any(line.endswith("...") for line in section), "a summary is cut: shorten it"


def test_every_option_and_argument_has_a_help_text_or_a_metavar() -> None:
    for command in main.commands.values():
        for parameter in command.params:
            text = (
                getattr(parameter, "help", None)
                or parameter.metavar
                or parameter.param_type_name == "argument"
            )
            assert text, (command.name, parameter.name)


def test_convert_offers_the_registered_formats() -> None:
    assert sorted(FORMATS) == sorted(formats.FORMATS)
    assert set(LAYOUTS) == {layout for form in formats.FORMATS.values() for layout in form.layouts}


def rendered_arguments(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """The command line that ``transpalette render`` replaces its process by."""
    calls: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, words: calls.append((path, words)))
    result = CliRunner().invoke(main, ["render", *arguments])
    assert result.exit_code == 0, result.output
    ((path, words),) = calls
    assert path == sys.executable
    start = module_command("blender.render")
    assert words[: len(start)] == start
    return words[len(start) :]


def test_render_passes_every_option_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another value than the default for each, the renderer's own parser gets the same values."""
    arguments, expected = [], {}
    for number, option in enumerate(RENDER_OPTIONS, start=1):
        value: object = option.choices[-1] if option.choices else option.type(f"{number}")
        arguments += [option.name] if option.flag else [option.name, str(value)]
        expected[option.parameter] = True if option.flag else value
    parser = argparse.ArgumentParser()
    add_render_options(parser)
    assert vars(parser.parse_args(rendered_arguments(monkeypatch, *arguments))) == expected


def test_render_keeps_values_that_begin_with_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    required = ["--profile", "p.toml", "--split", "train", "--people", "people"]
    assert "--frames=-2:" in rendered_arguments(monkeypatch, *required, "--frames=-2:")


def test_render_reports_a_user_error_of_the_renderer() -> None:
    done = run("-m", "pipeline", "render", "--profile", "none.toml", "--split", "train", "--people", "none")
    assert done.returncode == 2
    assert done.stderr.startswith("error: none.toml") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "table"),
    [("samples = -1", "[render]"), ("batch_size = 0", "[train]")],
    ids=["renderer", "pipeline"],
)
def test_check_reports_an_error_in_either_half(line: str, table: str, tmp_path: Path) -> None:
    profile = tmp_path / "bad.toml"
    key = line.split(maxsplit=1)[0]
    lines = [text for text in TINY.splitlines() if not text.startswith(f"{key} =")]
    profile.write_text("\n".join(lines).replace(table, f"{table}\n{line}"))
    done = run("-m", "pipeline", "check", "--profile", profile)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and table in done.stderr and key in done.stderr


def test_shell_completion_offers_commands_and_options() -> None:
    def complete(words: str) -> list[str]:
        env = {**os.environ, "_TRANSPALETTE_COMPLETE": "bash_complete", "COMP_WORDS": words}
        env["COMP_CWORD"] = str(len(words.split(" ")) - 1)
        code = "from pipeline.cli import main; main(prog_name='transpalette')"
        return [line.split(",")[1] for line in run("-c", code, env=env).stdout.split()]

    assert sorted(complete("transpalette pre")) == ["predict", "prelabel", "preview"]
    assert "--save-blend" in complete("transpalette render --s")


@pytest.mark.parametrize("allowed", [False, True])
def test_train_passes_allow_empty_classes_on(
    allowed: bool, tiny_profile: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr("pipeline.training.command.train", lambda *arguments: calls.append(arguments))
    words = ["train", "--profile", tiny_profile, "--train", tmp_path, "--val", tmp_path, "--out", tmp_path]
    done = CliRunner().invoke(main, [*map(str, words), *(["--allow-empty-classes"] if allowed else [])])
    assert done.exit_code == 0, done.output
    assert calls[0][4] is allowed
