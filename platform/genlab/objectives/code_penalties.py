"""Penalties on an autoencoder's codes: sparse ones, and codes that change little with the data."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genlab.core import full_precision, require, sum_per_sample

Encode = Callable[[Tensor], Tensor]
Terms = dict[str, Tensor]


class CodePenalty(Protocol):
    """What is added to the loss of a reconstruction."""

    def __call__(self, x: Tensor, z: Tensor, encode: Encode) -> tuple[Tensor, Terms]:
        """The weighted penalty, (B,) or one number of the batch, and its terms without the weight.

        Args:
            x: what was encoded, (B, ...).
            z: the codes, (B, D).
            encode: gives the codes of any x.
        """
        ...


@runtime_checkable
class ChecksActivation(Protocol):
    """Knows which codes it can be of use with."""

    def check(self, activation: Encode, latent_dim: int) -> None:
        """Refuse codes (B, latent_dim) of an activation that gives others, before any training.

        Raises:
            UserError: naming `activation`.
        """
        ...


class L1Sparsity:
    """weight sum_d |z_d| per sample. Terms: `l1`, and `zeros`, the share of codes' entries that are 0.

    With rectified codes, entries are exactly 0; with signed ones, small.

    Args:
        weight: of it.

    Raises:
        UserError: the weight is not positive.

    Source: Olshausen and Field 1996, as a penalty; Ranzato et al. 2007, "Sparse feature learning for deep belief
    networks", for encoders.
    """

    def __init__(self, weight: float = 1e-2):
        check_weight(weight)
        self.weight = weight

    def __call__(self, x: Tensor, z: Tensor, encode: Encode) -> tuple[Tensor, Terms]:
        sums = z.abs().sum(1)
        return self.weight * sums, {"l1": sums.mean(), "zeros": (z == 0).float().mean()}


class KLSparsity:
    """weight sum_d KL(rho || rho_d), rho_d the mean of z_d over the batch of this process: one number, in nats.

    KL(rho || r) = rho log(rho / r) + (1 - rho) log((1 - rho) / (1 - r)), for codes in (0, 1) such as those of a
    sigmoid. Terms: `sparsity_kl` and `mean_activation`.

    Args:
        weight: the notes' beta.
        target: rho.

    Raises:
        UserError: the weight is not positive, the target or a code is outside (0, 1).

    Source: Ng 2011, "Sparse autoencoder", CS294A lecture notes, section 3.

    >>> KLSparsity(weight=1.0, target=0.5)(None, torch.full((2, 3), 0.5), None)[0]
    tensor(0.)
    """

    def __init__(self, weight: float = 3.0, target: float = 0.05):
        check_weight(weight)
        require(0 < target < 1, "target", target, "a mean activation in (0, 1)", "the notes take 0.05")
        self.weight, self.target = weight, target

    @torch.no_grad()
    def check(self, activation: Encode, latent_dim: int) -> None:
        _check_shares(activation(torch.tensor([[-30.0], [0.0], [30.0]]).expand(-1, latent_dim)))

    def __call__(self, x: Tensor, z: Tensor, encode: Encode) -> tuple[Tensor, Terms]:
        _check_shares(z)
        mean, rho = z.mean(0).clamp(1e-6, 1 - 1e-6), torch.as_tensor(self.target).to(z)
        kl = (rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()).sum()
        return self.weight * kl, {"sparsity_kl": kl, "mean_activation": z.mean()}


class Contractive:
    """weight |J(x)|_F^2 per sample, J = dz/dx the encoder's Jacobian. Term: `jacobian`, without the weight.

    Args:
        weight: the paper's lambda.
        num_probes: of Hutchinson's estimate, a backward pass each; None is exact, by as many passes as z has entries.

    Raises:
        UserError: the weight or num_probes is not positive.

    Source: Rifai et al. 2011, "Contractive auto-encoders", eq. 6-7.
    """

    differentiates_twice = True

    def __init__(self, weight: float = 0.1, num_probes: int | None = None):
        check_weight(weight)
        known = num_probes is None or num_probes >= 1
        require(known, "num_probes", num_probes, "a positive integer", "use null for the exact norm")
        self.weight, self.num_probes = weight, num_probes

    def __call__(self, x: Tensor, z: Tensor, encode: Encode) -> tuple[Tensor, Terms]:
        norm = squared_jacobian_norm(encode, x, self.num_probes)
        return self.weight * norm, {"jacobian": norm.mean()}


def squared_jacobian_norm(encode: Encode, x: Tensor, num_probes: int | None = None) -> Tensor:
    """|dz/dx|_F^2 of each sample, (B,), differentiable where gradients are on.

    sum_d |grad_x z_d|^2, or its estimate mean_k |v_k^T J|^2 by v_k of random signs (Hutchinson 1990): E v v^T = I.

    Args:
        encode: x to codes (B, ...), of each sample alone.
        x: (B, ...).
        num_probes: K; None is exact.

    >>> squared_jacobian_norm(lambda x: x @ torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(1, 2))
    tensor([30.])
    """
    training = torch.is_grad_enabled()
    # Validation has no gradients, but a Jacobian needs them.
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        z = full_precision(encode(x)).flatten(1)
        if num_probes is None:
            probes = torch.eye(z.shape[1]).to(z).unsqueeze(1).expand(-1, len(z), -1)
        else:
            probes = torch.randint(2, (num_probes, *z.shape), device=z.device).to(z) * 2 - 1
        total = torch.zeros(len(x)).to(z)
        for v in probes:
            (gradient,) = torch.autograd.grad(z, x, v, retain_graph=True, create_graph=training)
            total = total + sum_per_sample(gradient.square())
        return total if num_probes is None else total / num_probes


def _check_shares(z: Tensor) -> None:
    low, high = z.detach().aminmax()
    got, remedy = f"codes from {low:.3g} to {high:.3g}", "use activation: torch.nn.Sigmoid"
    ok = bool(low >= 0) and bool(high <= 1)
    require(ok, "activation", got, "codes in (0, 1) for KLSparsity", remedy)


def check_weight(weight: float) -> None:
    """Refuse a weight that would do nothing.

    Raises:
        UserError: it is not positive.
    """
    require(weight > 0, "weight", weight, "a positive number", "leave out the penalty for none")
