"""The hook on two ranks that communicate over gloo."""

from __future__ import annotations

import pytest
from support.fresh import Nursery
from support.ranks import run_ranks

from loss_forward.models import Classifier, Points, expected
from loss_forward.oracle import batches_of, frozen_losses

SCRIPT = """
def rank_main(rank):
    import time, torch, valloss_compat
    from mmengine.model import MMDistributedDataParallel
    from torch.utils.data import DataLoader, Subset
    from loss_forward.models import Classifier, Points, collate, hook, make_runner
    from valloss_compat.errors import UnsupportedError
    torch.set_num_threads(1)
    start, stop = {parts}[rank]
    loader = DataLoader(Subset(Points(), range(start, stop)), 2, collate_fn=collate)
    model = Classifier()
    plain = model.loss

    def loss(scores, data_samples):
        CALLS.append(1)
        return act(rank, plain(scores, data_samples))

    CALLS = []
    {act}
    vars(model)['loss'] = loss
    try:
        runner = make_runner(
            FOLDER + str(rank), hook({options}), model=model, val_dataloader=loader)
        runner.model = MMDistributedDataParallel(
            runner.model, broadcast_buffers=False)
        runner.call_hook('before_run')
        runner.call_hook('before_train')
        metrics = runner.val_loop.run()
        return metrics.get('val_loss', 'no loss')
    except (UnsupportedError, RuntimeError) as error:
        return type(error).__name__ + ': ' + str(error)
"""
PLAIN = "act = lambda rank, losses: losses"


def on_two_ranks(nursery, parts, act=PLAIN, options=""):
    """Validate two parts of the points; return the loss or error of each rank."""
    script = SCRIPT.replace("{parts}", str(parts)).replace("{act}", act)
    return run_ranks(nursery, 2, script.replace("{options}", options))


EQUAL = [(0, 5), (5, 10)]


def known_loss():
    """The mean over the batches of both ranks."""
    batches = [
        batch
        for start, stop in EQUAL
        for batch in batches_of([Points()[i] for i in range(start, stop)], 2)
    ]
    return frozen_losses(Classifier(), batches)["val_loss"]


def test_two_ranks_report_one_loss(nursery: Nursery):
    known = known_loss()
    assert on_two_ranks(nursery, EQUAL) == pytest.approx([known, known], rel=1e-6)
    assert known != pytest.approx(expected(Classifier())["val_loss"], rel=1e-3)


@pytest.mark.parametrize("parts", [[(0, 6), (6, 10)], [(0, 4), (4, 4)]])
@pytest.mark.parametrize("policy", ["error", "warn"])
@pytest.mark.slow
def test_ranks_with_different_numbers_of_batches_are_rejected_alike(
    nursery: Nursery, parts, policy
):
    found = on_two_ranks(nursery, parts, options=f"on_unsupported={policy!r}")
    if policy == "warn":
        assert found == ["no loss"] * 2
        return
    numbers = ", ".join(str((stop - start) // 2) for start, stop in parts)
    for text in found:
        assert f"different numbers of validation batches ({numbers})" in text
        assert "round_up=True" in text


RAISES_ON_ONE = """
    def act(rank, losses):
        if rank == 1:
            raise ValueError('on this rank')
        return losses
"""
DIFFERS_ON_ONE = """
    def act(rank, losses):
        return {**losses, 'loss_b': torch.tensor(float(rank * len(CALLS)))}
"""
NOISE_ON_ONE = """
    class Shake(torch.nn.Module):
        def forward(self, x):
            return x * torch.rand(len(x), 1) if self.training and KNOWN[0] else x

    KNOWN = [rank]
    model.head.fc = torch.nn.Sequential(model.head.fc, Shake())
    act = lambda rank, losses: losses
"""


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (RAISES_ON_ONE, "mode 'loss' raised ValueError: on this rank"),
        (DIFFERS_ON_ONE, "for the same batch and seed"),
    ],
)
@pytest.mark.slow
def test_what_is_found_on_one_rank_is_raised_on_all(nursery: Nursery, act, match):
    found = on_two_ranks(nursery, EQUAL, act.strip())
    assert [match in text for text in found] == [True, True], found


@pytest.mark.slow
def test_with_warn_what_is_found_on_one_rank_is_logged_on_all(nursery: Nursery):
    found = on_two_ranks(nursery, EQUAL, RAISES_ON_ONE.strip(), "on_unsupported='warn'")
    assert found == ["no loss", "no loss"]


@pytest.mark.slow
def test_noise_that_one_rank_finds_is_switched_off_on_all(nursery: Nursery):
    known = known_loss()
    found = on_two_ranks(nursery, EQUAL, NOISE_ON_ONE.strip())
    assert found == pytest.approx([known, known], rel=1e-6)


LAST_BATCH = """
    act = lambda rank, losses: losses
    first = plain

    def plain(scores, data_samples):
        if rank == 1 and len(scores) == 1:
            raise ValueError('in the last batch')
        return first(scores, data_samples)
"""


@pytest.mark.slow
def test_with_warn_any_batch_of_a_loss_loader_is_rejected_on_all(nursery: Nursery):
    """All of them run at the first batch of the validation."""
    options = "on_unsupported='warn', strategy='dataloader', dataloader=loader"
    found = on_two_ranks(nursery, EQUAL, LAST_BATCH.strip(), options)
    assert found == ["no loss", "no loss"]


LATER = """
    def act(rank, losses):
        if len(CALLS) >= {first} and rank == 1:
            raise ValueError('later')
        return losses
"""


@pytest.mark.slow
def test_what_one_rank_finds_in_a_later_batch_ends_the_run_despite_warn(
    nursery: Nursery,
):
    """The losses of the other rank are recorded, and cannot be removed there."""
    script = SCRIPT.replace("runner.val_loop.run()", "steps(runner, rank)")
    steps = """
    def steps(runner, rank):
        runner.call_hook('before_val')
        runner.call_hook('before_val_epoch')
        runner.model.eval()
        for index, batch in zip(range(2), loader):  # the end waits for all ranks
            with torch.no_grad():
                runner.val_loop.run_iter(index, batch)
        return {}
"""
    act = LATER.replace("{first}", "4").strip() + "\n" + steps
    script = script.replace("{parts}", str(EQUAL)).replace("{act}", act)
    script = script.replace(
        "{options}", "on_unsupported='warn', sanity_check=False, strategy='auto'"
    )
    found = run_ranks(nursery, 2, script)
    assert "mode 'loss' raised ValueError: later" in found[1], found


VIEWS = """
def rank_main(rank):
    import torch, valloss_compat
    from mmengine.model import MMDistributedDataParallel
    from loss_forward import views
    from loss_forward.models import hook
    from valloss_compat.errors import UnsupportedError
    torch.set_num_threads(1)

    class Raises(views.LoadAnnotations):
        def __call__(self, results):
            if rank and results['img'].shape[0] == 20:
                raise ValueError('a damaged file')
            return super().__call__(results)

    steps = views.LoadImage(), views.Resize(), Raises(), views.PackInputs()
    runner = views.detector_runner(
        FOLDER + str(rank), hook(on_unsupported='{policy}'),
        val_dataloader=views.loader_of(*steps))
    runner.model = MMDistributedDataParallel(runner.model, broadcast_buffers=False)
    try:
        runner.call_hook('before_run')
        runner.call_hook('before_train')
        return sorted(runner.val_loop.run())
    except UnsupportedError as error:
        return str(error.rejection.component)
"""


@pytest.mark.parametrize(
    ("policy", "found"), [("error", "a validation sample"), ("warn", ["mean/score"])]
)
@pytest.mark.slow
def test_a_sample_without_a_second_view_is_rejected_on_all_ranks(
    nursery: Nursery, policy, found
):
    script = VIEWS.replace("{policy}", policy)
    assert run_ranks(nursery, 2, script) == [found, found]
