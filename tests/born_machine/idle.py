"""A process that `born_machine.launch` starts, and that does nothing; see `test_ranks.py`."""

import time

from born_machine.launch import launched

if __name__ == "__main__":
    assert launched()
    time.sleep(120)
