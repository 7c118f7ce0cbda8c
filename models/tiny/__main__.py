"""Write models of random weights into a folder: ``python -m models.tiny DIR [NAME ...]``."""

import argparse
from pathlib import Path

from models.registry import CARDS
from models.tiny.write import write

parser = argparse.ArgumentParser(prog="python -m models.tiny", description=__doc__)
parser.add_argument("folder", type=Path, metavar="DIR", help="where to; a folder per model")
parser.add_argument("names", nargs="*", metavar="NAME", help="models to write (default: all)")
parser.add_argument(
    "--published", action="store_true", help="of the published size, instead of tiny ones"
)
options = parser.parse_intermixed_args()
for name in options.names or [name for name, card in CARDS.items() if card.files]:
    write(options.folder, name, published=options.published)
    print(f"{options.folder / name}")
