"""Makes the detector that ships with the package again, from nothing."""

import argparse
from pathlib import Path
import faces


def main():
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--people", type=int, default=2000)
    made.add_argument("--workers", type=int, default=1)
    s = made.parse_args()
    faces.render(s.out / "faces", s.people, 0, s.workers, lambda d, t: print(d, t, flush=True))


if __name__ == "__main__":
    main()
