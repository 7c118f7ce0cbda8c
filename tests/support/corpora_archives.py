"""Small archives in the layout of the published ones, and the records that list them."""

import gzip
import hashlib
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

Files = Mapping[str, bytes]


def noise(seed: int, size: int = 3000) -> bytes:
    """What does not shrink, as audio does not."""
    return random.Random(seed).randbytes(size)


def zipped(files: Files, method: int = zipfile.ZIP_BZIP2) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def tarred(files: Files, links: Mapping[str, str] | None = None) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return data.getvalue()


def seven_zipped(files: Files) -> bytes:
    import py7zr

    data = io.BytesIO()
    with py7zr.SevenZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(content, name)
    return data.getvalue()


def packed(suffix: str, files: Files) -> bytes:
    """An archive of the kind that a suffix stands for."""
    if suffix == ".tar.gz":
        return gzip.compress(tarred(files))
    makers = {".zip": zipped, ".tar": tarred, ".7z": seven_zipped}
    return makers[suffix](files)


def parquet(rows: list[tuple[str, bytes]]) -> bytes:
    type_ = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    audio = pa.array([{"bytes": data, "path": path} for path, data in rows], type_)
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.parquet")
        pq.write_table(pa.table({"audio": audio}), path)
        return path.read_bytes()


def zenodo_record(number: int, files: Files) -> bytes:
    listed = [
        {"key": key, "size": len(data), "checksum": f"md5:{hashlib.md5(data).hexdigest()}"}
        for key, data in files.items()
    ]
    return json.dumps({"id": number, "files": listed}).encode()


def hub_record(repository: str, files: Files, large: tuple[str, ...]) -> bytes:
    siblings = []
    for name, data in files.items():
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry = {"rfilename": name, "size": len(data), "blobId": blob}
        if name in large:
            entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        siblings.append(entry)
    return json.dumps({"id": repository, "sha": "c0ffee", "siblings": siblings}).encode()


def song_describer(tracks: int = 3) -> dict[str, bytes]:
    """Paths of a server -> what Zenodo has there."""
    audio = {f"audio/{n:02d}/{n}.2min.mp3": noise(n) for n in range(tracks)}
    files = {
        "audio.zip": zipped({"__MACOSX/audio/._0.2min.mp3": b"x", **audio}),
        "song_describer.csv": b"caption_id,track_id,caption\n1,0,A slow song.\n",
        "audio_licenses.txt": b"0: CC BY",
        "song_describer.mtg-jamendo.tsv": b"unwanted",
    }
    record = {"api/records/10072001": zenodo_record(10072001, files)}
    return record | {f"records/10072001/files/{name}": data for name, data in files.items()}


def musicbench() -> dict[str, bytes]:
    """Paths of a server -> what the hub has there."""
    files = {
        "MusicBench.tar.gz": gzip.compress(tarred({"data/abc.wav": noise(1)})),
        "MusicBench_train.json": b'{"location": "data/abc.wav"}\n',
        "README.md": b"unwanted",
    }
    record = hub_record("amaai-lab/MusicBench", files, large=("MusicBench.tar.gz",))
    place = "datasets/amaai-lab/MusicBench"
    return {f"api/{place}/revision/main": record} | {
        f"{place}/resolve/main/{name}": data for name, data in files.items()
    }
