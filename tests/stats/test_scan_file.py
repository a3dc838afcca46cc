"""Scans as a file: they come back exactly, and what is damaged is refused."""

import json
import struct
from pathlib import Path

import pytest
import torch

from attention_surgeon.errors import FileFormatError
from attention_surgeon.masks import causal_mask
from attention_surgeon.stats import PER_HEAD, AttentionScan, load_scans, pool_weights, save_scans, scan_attention
from tests.stats.scan_probes import draw


def scans() -> dict[str, AttentionScan]:
    query, key, value = draw(1, 2, 97, 4), draw(1, 1, 97, 4, seed=1), draw(1, 1, 97, 3, seed=2)
    return {
        "layer 0": scan_attention(query, key, value, causal_mask(97), tokens=[1, 2, 3, 4] * 24 + [1], resolution=11),
        "layer 1": scan_attention(query, key, resolution=None, num_rows=40, window=3, threshold=0.02),
    }


def test_scans_come_back_exactly(tmp_path: Path):
    kept = scans()
    save_scans(kept, tmp_path / "a.scan")
    loaded = load_scans(str(tmp_path / "a.scan"))
    assert list(loaded) == list(kept)
    for one, other in zip(kept.values(), loaded.values(), strict=True):
        for name in (*PER_HEAD, "received", "num_rows", "num_empty"):
            mine, others = getattr(one.statistics, name), getattr(other.statistics, name)
            assert (mine is None) == (others is None), name
            assert mine is None or torch.allclose(mine, others, rtol=0, atol=0, equal_nan=True), name
        assert one.errors.keys() == other.errors.keys()
        assert torch.equal(one.errors["entropy"], other.errors["entropy"])
        assert (one.num_queries, one.seconds, one.is_exact) == (other.num_queries, other.seconds, other.is_exact)
        assert one.statistics.options.window == other.statistics.options.window
        assert one.statistics.options.threshold == other.statistics.options.threshold
    assert torch.equal(kept["layer 0"].map.mean, loaded["layer 0"].map.mean)
    assert torch.equal(kept["layer 0"].output_norm, loaded["layer 0"].output_norm)
    assert loaded["layer 1"].map is loaded["layer 1"].output_norm is None


def test_a_damaged_file_of_scans_is_refused(tmp_path: Path):
    path = tmp_path / "a.scan"
    save_scans(scans(), path)
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    about = json.loads(header["__metadata__"]["attention_surgeon_attention_scan"])
    del about["scans"][0]["num_queries"]
    header["__metadata__"]["attention_surgeon_attention_scan"] = json.dumps(about)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    with pytest.raises(FileFormatError, match="is a damaged attention scan: KeyError\\('num_queries'\\)"):
        load_scans(path)
    pool_weights(torch.eye(3)).save(path)
    with pytest.raises(FileFormatError, match="no attention scan: it has no attention_surgeon_attention_scan entry"):
        load_scans(path)
