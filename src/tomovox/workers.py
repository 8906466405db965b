"""How do worker processes end? With the process that started them, however that ends."""

import os
import signal
from multiprocessing import parent_process
from threading import Thread


def end_with_parent() -> None:
    """End this worker when its parent is gone; leave ctrl-C, which a terminal sends to all, to it.

    A pool's own workers would wait for ever: each of them holds both ends of the pipe.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
