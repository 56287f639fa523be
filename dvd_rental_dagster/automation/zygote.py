"""The process that runs are forked from: Dagster, the graph and dbt's parsed project are loaded in it once.

``python -m dvd_rental_dagster.automation.zygote`` says ``ready`` when it is, then forks a child for every line it reads
and answers with the child's process id. It ends when its input does, that is, with the process that started it.
"""

import gc
import json
import os
import signal
import sys
import threading
from typing import TextIO

from dagster import DagsterInstance
from dagster._cli.api import _execute_run_command_body
from dagster._core.instance import InstanceRef
from dagster._serdes import deserialize_value
from dagster._utils.interrupts import setup_interrupt_handlers

from dvd_rental_dagster.automation.code_stamp import code_stamp
from dvd_rental_dagster.automation.execution import load_job
from dvd_rental_dagster.automation.warm_process import READY, STALE
from dvd_rental_dagster.settings import load_settings
from dvd_rental_dagster.transformation.project import keep_manifest


def main() -> None:
    """Load everything, then serve requests: one JSON object a line, with ``run_id`` and ``instance``."""
    answers = _own_output()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps the children
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interruption is for the runs; this process ends with its input
    stamp = code_stamp()
    load_job()
    keep_manifest(load_settings())
    gc.collect()
    gc.freeze()
    _answer(answers, READY)
    for line in sys.stdin:
        if code_stamp() != stamp:
            _answer(answers, STALE)
            return
        request = json.loads(line)
        _answer(answers, str(_fork(request["run_id"], request["instance"])))


def _own_output() -> TextIO:
    """The output that answers go to; whatever else is printed goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, line: str) -> None:
    answers.write(line + "\n")
    answers.flush()


def _fork(run_id: str, instance_ref: str) -> int:
    """Execute the run in a child process and return its id.

    Raises:
        RuntimeError: there is another thread, whose locks a child would inherit as they stand.
    """
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise RuntimeError(f"Runs cannot be forked beside other threads: {names}.")
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        code = _execute(run_id, instance_ref)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _execute(run_id: str, instance_ref: str) -> int:
    setup_interrupt_handlers()
    with DagsterInstance.from_ref(deserialize_value(instance_ref, InstanceRef)) as instance:
        return _execute_run_command_body(run_id, instance, lambda _: None, set_exit_code_on_failure=True)


if __name__ == "__main__":
    main()
