"""The offline half: a click log in, a bundle out. Knows no Redis and no HTTP."""

import os

# Before torch is loaded: its threads wait asleep instead of spinning. Where something else wants
# the cores too, spinning threads made an epoch 5 to 10 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
