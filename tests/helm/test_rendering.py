"""That the chart's stand-in dependencies do not change what the chart itself makes."""

from __future__ import annotations

from helm.rendering import SOURCE, load, of_kind, render


def test_dependencies_make_nothing_unless_asked() -> None:
    """Render nothing of the charts that can be brought along by default."""
    names = {each["metadata"]["name"] for each in of_kind(render(), "ConfigMap")}

    assert not {name for name in names if name.startswith("stand-in-")}


def test_all_dependencies_are_off() -> None:
    """Let each dependency wait for its own switch, at an exact version."""
    about = load((SOURCE / "Chart.yaml").read_text())
    values = load((SOURCE / "values.yaml").read_text())

    for dependency in about.get("dependencies", ()):
        assert dependency["condition"] == f"{dependency['name']}.enabled"
        assert values[dependency["name"]]["enabled"] is False
        assert dependency["version"][0].isdigit()
