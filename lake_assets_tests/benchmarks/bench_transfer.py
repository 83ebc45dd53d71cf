"""Transfers against boto3, obstore, s5cmd and pdstools: ratios in one interleaved run.

    python lake_assets_tests/benchmarks/bench_transfer.py [small|down|up|all] [rounds] [peers]

``small`` is 3,000 objects of 20 KB to disk, ``down`` and ``up`` one object of 1 GB. Every figure is
taken in a fresh process, files are in /dev/shm where there is one. The servers are in
``transfer_server``: asyncio always, nginx where it is installed. ``peers`` adds s5cmd and pdstools'
S3Data, each in an environment that uv makes for it and throws away.
"""

import asyncio
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from transfer_server import (
    BIG_BYTES,
    N_SMALL,
    PART_BYTES,
    SMALL_BYTES,
    asyncio_server,
    nginx_server,
)

OURS, OWN = "ours", "ours, our own upload"
BOTO3, OBSTORE, S5CMD, S3DATA = "boto3", "obstore, unverified", "s5cmd", "pdstools S3Data"
#: What a way needs that the project does not.
PEERS = {S5CMD: ["s5cmd"], S3DATA: ["pdstools", "aioboto3"]}
WAYS = {
    "small": [BOTO3, OBSTORE, S5CMD, S3DATA, OURS],
    "down": [BOTO3, OBSTORE, S5CMD, OURS, OWN],
    "up": [BOTO3, OBSTORE, S5CMD, OURS],
}
#: nginx gives files as our own uploads, and lists nothing.
NGINX_WAYS = {"small": [BOTO3, OBSTORE, OURS], "down": [BOTO3, OBSTORE, OWN]}
MEMORY = Path("/dev/shm")  # noqa: S108 (the folder in it gets a random name)
LISTED_SMALL = os.environ.get("BENCH_SMALL_ETAG", "")
LISTED_BIG = os.environ.get("BENCH_BIG_ETAG", "")


# The ways: each returns what to measure, with all that it needs imported and connected ----------


def boto_client():
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(max_pool_connections=50))


def obstore_bucket():
    from lake_assets.s3.client import obstore_store

    return obstore_store("s3://bucket")


def our_refs(keys: list[str], folder: Path, size: int, listed: str) -> list:
    """As a listing gives them."""
    from lake_assets.s3 import ObjectRef

    if not listed:  # nginx has an ETag for each file
        client = boto_client()
        etags = [client.head_object(Bucket="bucket", Key=k)["ETag"].strip('"') for k in keys]
    else:
        etags = [listed] * len(keys)
    return [ObjectRef(k, f"{folder}/{k}", size, etag) for k, etag in zip(keys, etags, strict=True)]


def ours(refs: list, **upload) -> Callable[[], None]:
    from lake_assets.s3 import Transfer

    transfer = Transfer("s3://bucket").__enter__()

    def run() -> None:
        report = transfer.upload(refs, **upload) if upload else transfer.download(refs)
        assert len(report.done) == len(refs), report.failed[:1]

    return run


def s5cmd(*words: str) -> Callable[[], None]:
    command = ["s5cmd", "--endpoint-url", os.environ["AWS_ENDPOINT_URL"], "--log", "error", *words]
    return lambda: subprocess.run(command, check=True) and None


def small(way: str, folder: Path) -> Callable[[], None]:
    keys = [f"d/k{n:05}" for n in range(N_SMALL)]
    if way == S3DATA:
        from pdstools.pega_io.S3 import S3Data

        data = S3Data("bucket", str(folder))
        return lambda: asyncio.run(data.get_files("d/", verbose=False)) and None
    (folder / "d").mkdir()
    if way == OURS:
        return ours(our_refs(keys, folder, SMALL_BYTES, LISTED_SMALL))
    if way == S5CMD:
        commands = folder / "commands"
        commands.write_text("".join(f"cp s3://bucket/{k} {folder}/{k}\n" for k in keys))
        return s5cmd("--numworkers", "20", "run", str(commands))
    if way == BOTO3:
        client = boto_client()

        def one(key: str) -> None:
            client.download_file("bucket", key, f"{folder}/{key}")
    else:
        import obstore

        store = obstore_bucket()

        def one(key: str) -> None:
            body = obstore.get(store, key).bytes()
            Path(f"{folder}/{key}").write_bytes(body)

    def loop() -> None:
        with ThreadPoolExecutor(20 if way == BOTO3 else 16) as pool:
            list(pool.map(one, keys))

    return loop


def down(way: str, folder: Path) -> Callable[[], None]:
    key = "own-big" if way == OWN or not LISTED_BIG else "big"
    target = f"{folder}/{key}"
    if way in {OURS, OWN}:
        return ours(our_refs([key], folder, BIG_BYTES, LISTED_BIG))
    if way == S5CMD:
        return s5cmd("cp", f"s3://bucket/{key}", target)
    if way == BOTO3:
        client = boto_client()
        return lambda: client.download_file("bucket", key, target)
    import obstore

    store = obstore_bucket()

    def ranges() -> None:
        with Path(target).open("wb") as file, ThreadPoolExecutor(16) as pool:

            def one(start: int) -> None:
                end = min(start + PART_BYTES, BIG_BYTES)
                body = obstore.get_range(store, key, start=start, end=end)
                os.pwrite(file.fileno(), body, start)

            list(pool.map(one, range(0, BIG_BYTES, PART_BYTES)))

    return ranges


def up(way: str, folder: Path) -> Callable[[], None]:
    source = folder.parent / "source"
    if way == OURS:
        from lake_assets.s3 import ObjectRef

        return ours([ObjectRef("up", source)], overwrite=True)
    if way == S5CMD:
        return s5cmd("cp", str(source), "s3://bucket/up")
    if way == BOTO3:
        client = boto_client()
        return lambda: client.upload_file(str(source), "bucket", "up")
    import obstore

    store = obstore_bucket()
    return lambda: obstore.put(store, "up", source, chunk_size=PART_BYTES) and None


def measure(work: str, way: str, folder: Path) -> None:
    """One figure, in this process; printed as JSON."""
    run = {"small": small, "down": down, "up": up}[work](way, folder)
    who = resource.RUSAGE_CHILDREN if way == S5CMD else resource.RUSAGE_SELF
    before, started = resource.getrusage(who), time.perf_counter()
    run()
    wall, after = time.perf_counter() - started, resource.getrusage(who)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mb": after.ru_maxrss / 1024}))


# The run ---------------------------------------------------------------------------------------


def one_figure(work: str, way: str, scratch: Path, environment: dict[str, str]) -> dict[str, float]:
    folder = scratch / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = [sys.executable]
    if way in PEERS:
        needs = [word for name in PEERS[way] for word in ("--with", name)]
        command = ["uv", "run", "--isolated", "--no-project", "--quiet", *needs, "python"]
    command += [__file__, "measure", work, way, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{way}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(title: str, ways: list[str], rounds: int, figure: Callable) -> None:
    """Every way in turn, round by round, so that the machine's moods meet all of them."""
    figures: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            figures[way].append(figure(way))
    print(f"\n{title}: {rounds} rounds, median (least)")
    for way in ways:
        text = f"  {way:22}"
        for name, unit in (("wall", "s"), ("cpu", "s"), ("peak_mb", "MB")):
            found = [f[name] for f in figures[way]]
            text += f" {name} {statistics.median(found):6.2f} ({min(found):6.2f}) {unit}"
        print(text)
    for us in (way for way in ways if way.startswith("ours")):
        for way in (way for way in ways if not way.startswith("ours")):
            print(f"  {us} / {way}: " + ", ".join(ratio(figures, us, way)))


def ratio(figures: dict[str, list[dict[str, float]]], us: str, way: str) -> list[str]:
    """Median of the rounds' ratios, and the ratio of the least figures."""
    found = []
    for name in ("wall", "cpu"):
        mine, other = ([f[name] for f in figures[each]] for each in (us, way))
        median = statistics.median(a / b for a, b in zip(mine, other, strict=True))
        found.append(f"{name} {median:.2f} ({min(mine) / min(other):.2f})")
    return found


def main() -> None:
    words = sys.argv[1:]
    works = [work for work in WAYS if work in words] or list(WAYS)
    rounds = next((int(word) for word in words if word.isdigit()), 5)
    versions = ", ".join(f"{name} {version(name)}" for name in ("boto3", "obstore"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(versions)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        scratch = Path(name)
        basis = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
            "HOME": name,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        if "up" in works:
            with (scratch / "source").open("wb") as file:
                file.writelines(os.urandom(10**7) for _ in range(BIG_BYTES // 10**7))
        with asyncio_server() as there:
            for work in works:
                ways = [way for way in WAYS[work] if way not in PEERS or "peers" in words]
                compare(
                    f"{work}, asyncio server",
                    ways,
                    rounds,
                    lambda way, work=work: one_figure(work, way, scratch, basis | there),
                )
        if shutil.which("nginx") and set(works) & set(NGINX_WAYS):
            with nginx_server(scratch / "nginx") as there:
                for work in set(works) & set(NGINX_WAYS):
                    compare(
                        f"{work}, nginx",
                        NGINX_WAYS[work],
                        rounds,
                        lambda way, work=work: one_figure(work, way, scratch, basis | there),
                    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main()
