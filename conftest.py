"""For every test below: no model hub is asked for anything."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
