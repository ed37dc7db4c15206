"""Posteriors and priors as parts of a VAE: draws, densities, and noise of a stream per sample."""

from functools import partial

import pytest
import torch

from genlab.core import DataSpec, ModalitySpec, RandomStreams, UserError
from genlab.networks import (
    MADE,
    DiagonalPosterior,
    FlowPrior,
    HouseholderPosterior,
    IAFPosterior,
    StandardPrior,
    VampPrior,
)
from genlab.probability import DiagonalGaussian

D = 3
SPEC = DataSpec("x", {"image": ModalitySpec((1, 2, 2))})
POSTERIORS = {
    "diagonal": DiagonalPosterior,
    "householder": partial(HouseholderPosterior, num_reflections=3),
    "iaf": partial(IAFPosterior, num_steps=2, context_dim=4, width=8),
}
PRIORS = {
    "standard": StandardPrior,
    "vamp": partial(VampPrior, num_components=5),
    "flow": partial(FlowPrior, num_couplings=3, width=8),
}


def moved(module):
    """The module with weights that are no longer those of the start."""
    for p in module.parameters():
        p.data = p.data + 0.3 * torch.randn_like(p)
    return module.double()


def parts(posterior, prior):
    torch.manual_seed(0)
    part = moved(POSTERIORS[posterior](D))
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, part.num_features)).double()
    return lambda x: part(encoder(x)), moved(PRIORS[prior](SPEC, D))


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("prior", PRIORS)
def test_draws_densities_and_shapes(posterior, prior):
    posterior_of, prior = parts(posterior, prior)
    x = torch.randn(6, 1, 2, 2).double()
    q = posterior_of(x)
    z, log_q = q.draw(torch.randn(4, 6, D).double())
    assert z.shape == (4, 6, D)
    torch.testing.assert_close(q.log_prob(z), log_q())
    p = prior(q.mean, posterior_of)
    assert p.log_prob(z).shape == (4, 6)
    torch.testing.assert_close(p.log_prob(z)[1], p.log_prob(z[1]))
    one = posterior_of(x[2:3])
    torch.testing.assert_close(one.log_prob(z[:, 2:3]), log_q()[:, 2:3])


@pytest.mark.parametrize("prior", PRIORS)
def test_a_prior_is_sampled_from_its_density_by_a_stream_per_sample(prior):
    posterior_of, prior = parts("householder", prior)
    whole = prior.sample(RandomStreams(3, 10), posterior_of)
    some = torch.cat([prior.sample(rng, posterior_of) for rng in RandomStreams(3, 10).split(4)])
    torch.testing.assert_close(whole, some)
    z = prior.sample(RandomStreams(0, 4000), posterior_of)
    p = prior(z, posterior_of)
    # E_p[w(z) / p(z)] is the integral of any density w, 1, only where the draws are of p.
    w = DiagonalGaussian(z.mean(0), (0.5 * z.std(0)).log())
    ratio = (w.log_prob(z) - p.log_prob(z)).exp()
    assert (ratio.mean() - 1).abs() < 5 * ratio.std() / 4000**0.5
    assert ratio.std() > 0.1


def test_parts_start_where_they_should():
    torch.manual_seed(0)
    z = torch.randn(5, D)
    flow = FlowPrior(SPEC, D)(z, None)
    torch.testing.assert_close(flow.log_prob(z), DiagonalGaussian.standard(z).log_prob(z))
    assert not list(StandardPrior(SPEC, D).parameters())
    assert not DiagonalPosterior(D).state_dict()
    vamp = VampPrior(SPEC, D, num_components=7)
    assert vamp.pseudo_inputs.shape == (7, 1, 2, 2)


def test_gradients_reach_every_weight():
    for posterior in POSTERIORS:
        for name in PRIORS:
            torch.manual_seed(0)
            part, prior = POSTERIORS[posterior](D), PRIORS[name](SPEC, D)
            moved(part), moved(prior)
            features = torch.randn(8, part.num_features).double().requires_grad_()
            weight = torch.randn(4, part.num_features).double().requires_grad_()
            q = part(features)
            z, log_q = q.draw(torch.randn(8, D).double())
            p = prior(z, lambda u, part=part, weight=weight: part(u.flatten(1) @ weight))
            (log_q() - p.log_prob(z)).sum().backward()
            # A bias of the first dimension's MADE is the only one that no other dimension sees.
            for label, weights in [*part.named_parameters(), *prior.named_parameters()]:
                assert weights.grad.abs().sum() > 0, (posterior, name, label)
            assert (features.grad.abs().sum(0) > 0).all()


def test_made_sees_earlier_dimensions_and_all_of_the_context():
    torch.manual_seed(0)
    made = MADE(4, 2, context_dim=3, width=8, num_layers=3).double()
    z, context = torch.randn(4).double(), torch.randn(3).double()
    to_z, to_context = torch.autograd.functional.jacobian(made, (z, context))
    assert (to_z.triu() == 0).all()
    assert (to_z.tril(-1)[:, 1:].abs().sum(-1) > 0).all()
    assert (to_context != 0).all(), "the first dimension's outputs too"


def test_wrong_numbers_are_named():
    for make, argument in [
        (lambda: HouseholderPosterior(D, num_reflections=0), "num_reflections: got 0"),
        (lambda: IAFPosterior(D, num_steps=0), "num_steps: got 0"),
        (lambda: IAFPosterior(D, width=2), "width: got 2, expected at least the latents' dimension 3"),
        (lambda: VampPrior(SPEC, D, num_components=0), "num_components: got 0"),
        (lambda: FlowPrior(SPEC, 1), "latent_dim: got 1"),
    ]:
        with pytest.raises(UserError, match=argument):
            make()
