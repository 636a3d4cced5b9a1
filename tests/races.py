"""Acts that happen at once: each in a thread of its own, let go at the same moment."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from portal import db


def at_once(acts: Iterable[Callable[[], Any]]) -> list[Any]:
    """What each act answered, in the order in which they were done."""
    acts, answers = list(acts), list[Any]()
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> None:
        barrier.wait()
        answers.append(act())
        db.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(acts), "one of them broke off"
    return answers
