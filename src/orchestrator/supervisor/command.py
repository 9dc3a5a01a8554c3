"""How a job's process is started: its argv and its environment, decided purely."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.domain.job import TuningJob
    from orchestrator.domain.session import SessionSpec

PASSED_ON: Final = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TZ", "TMPDIR", "TERM", "XDG_*",
    "PYTHON*", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_*",
    "NUMBA_*", "OMP_*", "MKL_*", "OPENBLAS_*", "CUDA_*", "NVIDIA_*", "COVERAGE_*",
)  # fmt: skip
"""What a job sees of the supervisor's own environment; the setting `pass_env` adds to it. Secrets stay behind."""


def worker_argv(job: TuningJob, spec: SessionSpec, python: str) -> tuple[str, ...]:
    """Return what runs a job: the session's `worker_command`, or the tuning worker in the given interpreter."""
    if spec.worker_command:
        return tuple(spec.worker_command)
    # -P keeps the working directory off the import path: a file named like a library there would stand in for it.
    return (
        *(python, "-P", "-m", "tuning_worker"),
        *("--session-id", job.session_id, "--worker-id", job.worker_id),
        *("--config", job.config_path, "--iterations", str(job.iterations)),
        *("--mode", job.mode, "--env", job.env, "--optimizer", job.optimizer),
        *("--output-csv", job.output_csv),
    )


def worker_env(
    own: Mapping[str, str], pass_env: Iterable[str], spec: SessionSpec, orch: Mapping[str, str]
) -> dict[str, str]:
    """Return a job's environment: the allowed part of the supervisor's `own`, the session's `env_vars`, and `orch`."""
    allowed = (*PASSED_ON, *pass_env)
    passed = {name: value for name, value in own.items() if any(fnmatchcase(name, pattern) for pattern in allowed)}
    return {**passed, **spec.env_vars, **orch}
