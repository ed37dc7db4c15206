"""Weights sharded over two nodes: a run that is preempted ends as the one that was not."""

from pathlib import Path

from genlab.experiments.checkpoint_io import read_index
from tests.slurm.cluster import Cluster
from tests.slurm.runs import Fits, assert_uninterrupted

OVERLAY = ["--config", "configs/trainer/fsdp.yaml"]


def test_preempted_with_sharded_weights(cluster: Cluster, tmp_path: Path):
    """Blocks that are gathered for `forward`, and while samples are drawn for their other methods."""
    fits = Fits(cluster, tmp_path, "autoregressive", steps=30)
    quick = "--export=ALL,GENLAB_DOCTOR=off"
    whole = fits.submit("whole", quick, words=OVERLAY)
    job = fits.submit("preempted", quick, words=OVERLAY, sleep=0.5)
    assert cluster.wait_for(whole, timeout=600) == "COMPLETED", fits.said("whole")
    cluster.wait(lambda: fits.step("preempted") >= 9, 600, "step 9")
    everything = ("--partition=urgent", "-N2", "--exclusive", f"--output={tmp_path}/urgent.out")
    cluster.submit(*everything, "--wrap", "true")
    assert cluster.wait_for(job, timeout=600) == "COMPLETED", fits.said("preempted")
    assert cluster.restarts(job) == 1
    for name in ("whole", "preempted"):
        assert len(read_index(fits.run(name).last)[0]["shards"]["bytes"]) == 2
    assert_uninterrupted(fits.run("whole"), fits.run("preempted"))
