"""How many workers a scan gets, and what each may use."""

from __future__ import annotations

import pytest

from pipelines.scan.plan import PlanError, Resources, plan_scan

LAPTOP = Resources(cores=(2,), gpus=0, memory=8 * 2**30)


CLUSTER = Resources(cores=(64,) * 10, gpus=8, memory=2000 * 2**30)


def test_the_plan_uses_every_core():
    assert plan_scan(LAPTOP, "cpu").workers == 2
    assert plan_scan(CLUSTER, "cpu").workers == 640
    assert plan_scan(LAPTOP, "cpu", workers=1).workers == 1


def test_cores_that_no_other_worker_needs_make_each_faster():
    alone = plan_scan(LAPTOP, "cpu", workers=1)
    assert (alone.cpus, str(alone)) == (2, "1 worker on 2 cores: as asked for")
    assert plan_scan(LAPTOP, "cpu").cpus == 1
    assert plan_scan(CLUSTER, "cpu", workers=320).cpus == 2
    assert plan_scan(CLUSTER, "cpu", workers=321).cpus == 1
    assert plan_scan(CLUSTER, "cpu", workers=319, judges=2).cpus == 1
    odd = Resources(cores=(3, 3), gpus=0, memory=64 * 2**30)
    assert plan_scan(odd, "cpu", workers=3).cpus == 1  # one of two cores would find no node


def test_how_many_cores_a_worker_gets_can_be_asked_for():
    assert plan_scan(LAPTOP, "cpu", workers=1, cores=1).cpus == 1
    plan = plan_scan(Resources(cores=(7, 9), gpus=0, memory=64 * 2**30), "cpu", cores=4)
    assert (plan.workers, plan.cpus) == (3, 4)
    assert "3 workers, each on 4 cores: as many as the cores carry" in str(plan)
    with pytest.raises(PlanError, match=r"--workers 2 and --cores 2: the cluster has 2 cores$"):
        plan_scan(LAPTOP, "cpu", workers=2, cores=2)
    with pytest.raises(PlanError, match=r"640 cores, at most 64 on one of its 10 nodes"):
        plan_scan(CLUSTER, "cpu", cores=65)


def test_the_plan_leaves_memory_for_every_worker():
    plan = plan_scan(Resources(cores=(16,), gpus=0, memory=4 * 2**30), "cpu")
    assert plan.workers == 2
    assert "memory" in str(plan)


def test_the_plan_shares_gpus():
    plan = plan_scan(CLUSTER, "cuda", judges=0)
    assert (plan.workers, plan.gpus) == (32, 0.25)
    assert "0.25 of a GPU" in str(plan)


def test_a_plan_that_the_cluster_cannot_carry_is_refused_with_the_numbers():
    with pytest.raises(PlanError, match="no GPU"):
        plan_scan(LAPTOP, "cuda")
    with pytest.raises(PlanError, match=r"--workers 3: .* 2 cores"):
        plan_scan(LAPTOP, "cpu", workers=3)


def test_a_gpu_with_many_cores_gets_stages_of_their_own():
    one = Resources(cores=(16,), gpus=1, memory=128 * 2**30)
    plan = plan_scan(one, "cuda")
    assert (plan.workers, plan.judges, plan.gpus, plan.judge_gpus) == (15, 1, 0.0, 1.0)
    assert "15 workers, each on 1 core, that extract, and 1 that judges" in str(plan)
    few = Resources(cores=(4,), gpus=1, memory=128 * 2**30)
    assert plan_scan(few, "cuda").judges == 0  # four workers fit on the GPU as they are
    assert plan_scan(one, "cuda", judges=0).workers == 4


def test_stages_can_be_asked_for_without_a_gpu():
    plan = plan_scan(CLUSTER, "cpu", workers=10, judges=2)
    assert (plan.workers, plan.judges, plan.judge_gpus) == (10, 2, 0.0)
    assert plan_scan(CLUSTER, "cpu", judges=2).workers == 638
    with pytest.raises(PlanError, match=r"--workers 2 and --judges 1: .* 2 cores"):
        plan_scan(LAPTOP, "cpu", workers=2, judges=1)
    with pytest.raises(PlanError, match=r"--judges 9: the cluster has 8 GPUs"):
        plan_scan(CLUSTER, "cuda", judges=9)
