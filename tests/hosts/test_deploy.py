"""Checks the manifest in deploy/ against the schemas of Kubernetes. (`tests/cli/deploy.rs` checks the units with systemd.)"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recipes import ROOT

MANIFEST = ROOT / "deploy" / "kubernetes.yaml"


def validate(path: Path, version: str) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).parent / "kubernetes-validate"
    return subprocess.run([program, "-k", version, "--strict", path], capture_output=True, text=True)


# The first version with `sleep` in lifecycle hooks, and a recent one.
@pytest.mark.parametrize("version", ["1.30", "1.35"])
def test_the_manifest_is_what_kubernetes_takes(version: str) -> None:
    done = validate(MANIFEST, version)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_misspelt_key_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(MANIFEST.read_text().replace("readinessProbe:", "readynessProbe:"))
    assert validate(tmp_path / "wrong.yaml", "1.35").returncode != 0
