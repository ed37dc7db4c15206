"""Quantisers: one interface, each by its paper's formula, the same codebook on all ranks and after resuming."""

import copy
import math
import multiprocessing
import tempfile
from itertools import pairwise

import pytest
import torch
import torch.distributed as dist

from genlab.core import UserError
from genlab.networks import FiniteScalar, LookupFree, ResidualQuantiser, VectorQuantiser

MAKERS = {
    "vector": lambda: VectorQuantiser(4, 32),
    "by gradient": lambda: VectorQuantiser(4, 32, learning="gradient"),
    "residual": lambda: ResidualQuantiser([VectorQuantiser(4, 8) for _ in range(3)]),
    "finite scalar": lambda: FiniteScalar([8, 5, 5, 4]),
    "lookup-free": lambda: LookupFree(4),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("grid", [(6,), (3, 5)])
def test_one_interface(name, grid):
    torch.manual_seed(0)
    quantiser, z = MAKERS[name](), torch.randn(3, 4, *grid)
    quantiser(z)  # k-means
    quantiser.eval()
    answer = quantiser(z)
    depth = () if quantiser.depth == 1 else (quantiser.depth,)
    assert answer.z_q.shape == z.shape
    assert answer.indices.shape == (3, *grid, *depth)
    assert answer.indices.dtype == torch.int64
    assert 0 <= int(answer.indices.min()) <= int(answer.indices.max()) < quantiser.num_codes
    assert all(term.shape == (3,) for term in answer[2:])
    assert torch.equal(quantiser.encode(z), answer.indices)
    torch.testing.assert_close(quantiser.decode(answer.indices), answer.z_q)
    assert quantiser.bits == quantiser.depth * math.log2(quantiser.num_codes)
    for i in range(3):
        alone = quantiser(z[i : i + 1])
        torch.testing.assert_close(alone.commitment[0], answer.commitment[i])


@pytest.mark.parametrize("name", ["finite scalar", "lookup-free"])
def test_every_index_is_its_codes_own(name):
    quantiser = MAKERS[name]()
    indices = torch.arange(quantiser.num_codes)[None]
    codes = quantiser.decode(indices)
    assert len(torch.unique(codes[0], dim=1).T) == quantiser.num_codes
    features = (
        torch.atanh(
            ((quantiser.codes(indices) * (quantiser.levels // 2)) + quantiser.offset) / quantiser.scale
        )
        - quantiser.shift
        if name == "finite scalar"
        else codes.transpose(1, 2)
    )
    assert torch.equal(quantiser.nearest(features), indices)


@pytest.mark.parametrize("name", ["vector", "residual", "lookup-free"])
def test_gradients_go_straight_through(name):
    torch.manual_seed(0)
    quantiser, z = MAKERS[name]().eval(), torch.randn(2, 4, 5, requires_grad=True)
    weight = torch.randn(2, 4, 5)
    (quantiser(z).z_q * weight).sum().backward()
    torch.testing.assert_close(z.grad, weight)


def test_finite_scalars_gradient_is_its_bounds():
    quantiser, z = (
        FiniteScalar([4, 5]).double(),
        torch.randn(1, 2, 7, dtype=torch.float64, requires_grad=True),
    )
    quantiser(z).z_q.sum().backward()
    rows = z.detach().transpose(1, 2).requires_grad_()
    (quantiser.bound(rows) / (quantiser.levels // 2)).sum().backward()
    torch.testing.assert_close(z.grad, rows.grad.transpose(1, 2))


@pytest.mark.parametrize("levels", [1001, 1002, 1501, 4096])
def test_many_levels_of_a_scalar_are_all_reached_and_no_others(levels):
    quantiser, z = FiniteScalar([levels]), torch.linspace(-12, 12, 200_001)[None, None]
    answer = quantiser(z)
    assert torch.equal(answer.indices.unique(), torch.arange(levels))
    assert torch.equal(quantiser.encode(z), answer.indices)
    torch.testing.assert_close(quantiser.decode(answer.indices), answer.z_q)


def test_codes_are_nearest_and_terms_are_the_papers():
    torch.manual_seed(0)
    quantiser, z = VectorQuantiser(3, 20, learning="gradient", kmeans=False).eval(), torch.randn(2, 3, 4, 4)
    torch.nn.init.normal_(quantiser.codebook)
    z.requires_grad_()
    answer = quantiser(z)
    rows = z.detach().movedim(1, -1)
    assert torch.equal(
        answer.indices, torch.cdist(rows.flatten(0, 2), quantiser.codebook).argmin(1).view(2, 4, 4)
    )
    expected = (rows - quantiser.codebook[answer.indices]).square().mean((1, 2, 3))
    torch.testing.assert_close(answer.commitment, expected)
    torch.testing.assert_close(answer.codebook, expected)
    (gradient,) = torch.autograd.grad(answer.codebook.sum(), [z], allow_unused=True, retain_graph=True)
    assert gradient is None
    (gradient,) = torch.autograd.grad(answer.commitment.sum(), [quantiser.codebook], allow_unused=True)
    assert gradient is None


def test_averages_are_the_papers():
    torch.manual_seed(0)
    quantiser = VectorQuantiser(3, 5, decay=0.9, kmeans=False, dead_below=0).double()
    torch.nn.init.normal_(quantiser.codebook)
    n, m = torch.ones(5).double(), quantiser.codebook.clone()  # N_k and m_k of van den Oord et al., eq. 6-8
    for _ in range(4):
        z = torch.randn(2, 3, 6).double()
        codebook = quantiser.codebook.clone()
        rows = z.transpose(1, 2).flatten(0, 1)
        found = torch.cdist(rows, codebook).argmin(1)
        quantiser(z)
        for k in range(5):
            n[k] = 0.9 * n[k] + 0.1 * (found == k).sum()
            m[k] = 0.9 * m[k] + 0.1 * rows[found == k].sum(0)
        torch.testing.assert_close(quantiser.codebook, m / n[:, None])
        torch.testing.assert_close(quantiser.use, n)


def clusters(num: int, seed: int) -> torch.Tensor:
    """Rows (1, 2, num) of eight small clusters on a circle."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.randint(8, (num,), generator=generator) * math.pi / 4
    return (torch.stack([angle.cos(), angle.sin()]) + 0.02 * torch.randn(2, num, generator=generator))[None]


@pytest.mark.parametrize("learning", ["ema", "gradient"])
def test_dead_codes_live_again(learning):
    torch.manual_seed(0)
    quantiser = VectorQuantiser(2, 24, learning=learning, decay=0.7, kmeans=False, dead_below=0.2)
    with torch.no_grad():
        quantiser.codebook.copy_(
            torch.full((24, 2), 50.0) + torch.arange(24)[:, None]
        )  # one is nearest to all
    for step in range(40):
        found = quantiser(clusters(200, step)).indices
    assert len(found.unique()) >= 20
    assert quantiser.eval()(clusters(200, 99)).commitment.item() < 0.01
    never = VectorQuantiser(2, 8, decay=0.7, kmeans=False, dead_below=0)
    never.codebook.copy_(torch.full((8, 2), 50.0) + torch.arange(8)[:, None])
    for step in range(40):
        found = never(clusters(200, step)).indices
    assert len(found.unique()) == 1


def test_kmeans_starts_from_the_first_batch():
    torch.manual_seed(0)
    quantiser = VectorQuantiser(2, 24)
    first = quantiser(clusters(500, 0))
    assert first.commitment.item() < 0.01
    assert quantiser.started
    few = VectorQuantiser(2, 24)  # fewer rows than codes
    assert few(clusters(10, 0)).commitment.item() < 1e-6


def test_resuming_goes_on_as_if_nothing_had_happened():
    torch.manual_seed(0)
    whole = ResidualQuantiser([VectorQuantiser(2, 16, decay=0.5, dead_below=0.5) for _ in range(2)])
    for step in range(6):
        if step == 3:
            state, kept = torch.get_rng_state(), copy.deepcopy(whole.state_dict())
        whole(clusters(50, step))
    again = ResidualQuantiser([VectorQuantiser(2, 16, decay=0.5, dead_below=0.5) for _ in range(2)])
    again.load_state_dict(kept)
    torch.set_rng_state(state)
    for step in range(3, 6):
        again(clusters(50, step))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_two_levels_are_divided_at_zero_and_learn_there():
    z = torch.tensor([-0.5, 0.5]).view(1, 1, 2).requires_grad_()
    answer = FiniteScalar([2])(z)
    assert answer.indices.tolist() == [[0, 1]]
    answer.z_q.sum().backward()
    assert (z.grad > 0.3).all()


def test_residuals_are_taken_in_full_precision():
    torch.manual_seed(0)
    quantiser = ResidualQuantiser([VectorQuantiser(4, 8) for _ in range(4)])
    for _ in range(3):
        quantiser(torch.randn(1, 4, 400))
    z = torch.randn(1, 4, 4000).bfloat16()
    answer = quantiser.eval()(z)
    assert answer.z_q.dtype == torch.bfloat16
    assert torch.equal(answer.indices, quantiser.encode(z))


def test_levels_of_another_order_are_refused_where_weights_are_loaded():
    trained, other = FiniteScalar([8, 5]), torch.nn.Sequential(FiniteScalar([5, 8]))
    state = {f"0.{name}": value for name, value in trained.state_dict().items()}
    with pytest.raises(UserError, match=r"levels: got \[5, 8\], expected \[8, 5\] as in the checkpoint"):
        other.load_state_dict(state)
    other.load_state_dict({})  # of a time when states did not hold them


def train(parts: list[torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """Train on these batches: k-means, averages, codes that die."""
    torch.manual_seed(seed)
    quantiser = VectorQuantiser(2, 16, decay=0.5, dead_below=0.6)
    for part in parts:
        quantiser(part)
    return quantiser.state_dict()


def work(rank: int, store: str, answers) -> None:
    """One of two processes; each has a seed of its own, and another number of rows."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    rows = slice(0, 30) if rank == 0 else slice(30, 80)
    state = train([clusters(80, step)[..., rows] for step in range(5)], seed=rank)
    answers.put((rank, {name: x.numpy().copy() for name, x in state.items()}))
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_learn_what_one_learns():
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        ranks = [context.Process(target=work, args=(rank, f"{folder}/store", answers)) for rank in (0, 1)]
        for rank in ranks:
            rank.start()
        found = dict(answers.get(timeout=60) for _ in ranks)
        for rank in ranks:
            rank.join()
    alone = train([clusters(80, step) for step in range(5)], seed=0)
    for name, value in alone.items():
        assert (found[0][name] == found[1][name]).all(), name
        torch.testing.assert_close(torch.from_numpy(found[0][name]), value, rtol=1e-4, atol=1e-5)


def test_residuals_are_each_smaller():
    torch.manual_seed(0)
    quantiser, z = ResidualQuantiser([VectorQuantiser(2, 8) for _ in range(4)]), torch.randn(1, 2, 400)
    for _ in range(5):
        quantiser(z)
    indices = quantiser.eval().encode(z)
    errors = [(quantiser.decode(indices[..., :m]) - z).square().mean().item() for m in range(1, 5)]
    assert all(after < 0.5 * before for before, after in pairwise(errors))


def test_entropy_is_that_of_all_corners():
    torch.manual_seed(0)
    quantiser, z = LookupFree(3, temperature=2.0, diversity=0.7).double(), torch.randn(2, 3, 5).double()
    corners = quantiser.codes(torch.arange(8)).double()
    distances = (z.transpose(1, 2)[:, :, None] - corners).square().sum(-1)
    q = torch.softmax(-distances / 2.0, dim=-1)
    own = -(q * q.log()).sum(-1).mean(1)
    mean = q.mean((0, 1))
    expected = own + 0.7 * (mean * mean.log()).sum()
    torch.testing.assert_close(quantiser(z).entropy, expected, rtol=1e-5, atol=1e-6)


def test_the_entropy_term_spreads_the_codes():
    torch.manual_seed(0)
    quantiser = LookupFree(4, temperature=1.0)
    z = (1.0 + 0.3 * torch.randn(1, 4, 64)).requires_grad_()  # nearly all in one corner
    assert len(quantiser.encode(z).unique()) == 1
    optimizer = torch.optim.Adam([z], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        quantiser(z).entropy.mean().backward()
        optimizer.step()
    assert len(quantiser.encode(z).unique()) >= 12


@pytest.mark.peers
def test_finite_scalar_is_the_peers():
    peer = pytest.importorskip("vector_quantize_pytorch").FSQ([8, 5, 4], preserve_symmetry=False)
    torch.manual_seed(0)
    quantiser, z = FiniteScalar([8, 5, 4]), 2 * torch.randn(2, 3, 40)
    codes, indices = peer(z.transpose(1, 2))
    answer = quantiser(z)
    torch.testing.assert_close(answer.z_q.transpose(1, 2), codes)
    assert torch.equal(answer.indices, indices.long())


@pytest.mark.peers
def test_vector_quantisation_is_the_peers():
    found = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    peer = found.VectorQuantize(dim=4, codebook_size=16, rotation_trick=False).eval()
    quantiser, z = VectorQuantiser(4, 16).eval(), torch.randn(2, 4, 40)
    quantiser.codebook.copy_(peer.codebook)
    codes, indices, _ = peer(z.transpose(1, 2))
    assert torch.equal(quantiser.encode(z), indices)
    torch.testing.assert_close(quantiser(z).z_q.transpose(1, 2), codes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VectorQuantiser(4)(torch.zeros(2, 3, 5)), r"z: got \(2, 3, 5\), expected \(B, 4, \*grid\)"),
        (lambda: VectorQuantiser(4, 0), "num_codes: got 0"),
        (lambda: VectorQuantiser(4, learning="sgd"), "learning: got 'sgd'"),
        (
            lambda: ResidualQuantiser([VectorQuantiser(4)]),
            "quantisers: got '1 of them', expected at least two",
        ),
        (
            lambda: ResidualQuantiser([VectorQuantiser(4), VectorQuantiser(5)]),
            "quantisers: got .* expected equal",
        ),
        (lambda: FiniteScalar([8, 1]), "levels"),
        (lambda: FiniteScalar([8] * 21), "levels: got .* expected fewer than 2\\^63 codes"),
        (lambda: LookupFree(63), "dim: got 63"),
    ],
)
def test_refuses_what_cannot_work(make, message):
    with pytest.raises(UserError, match=message):
        make()
