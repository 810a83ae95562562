"""What `import wellbegun` costs over `import numpy`: processor seconds of a whole process, best of several.

Run: python benchmarks/import_time.py
"""

import resource
import subprocess
import sys


def spent(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    pairs = [(spent("import wellbegun"), spent("import numpy")) for _ in range(15)]
    ours, bare = (min(column) for column in zip(*pairs, strict=True))
    print(f"import wellbegun {ours:.3f} s, import numpy {bare:.3f} s, difference {ours - bare:.3f} s")
