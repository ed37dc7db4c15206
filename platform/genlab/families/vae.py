"""The variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014)."""

from genlab.families.variational import VariationalModel


class VAE(VariationalModel):
    """Variational autoencoder: z ~ p(z), x ~ p(x | decoder(z)), with q(z | x) from an encoder, trained on a bound.

    beta-VAE, beta-TCVAE, DIP-VAE and InfoVAE are the `ELBO` with a weight, a capacity or penalties; IWAE is another
    objective; a VampPrior or a flow is another prior.

    Args:
        spec, encoder, decoder, likelihood, latent_dim, objective, output, num_importance_samples, chunk_size,
            optimizer, schedule, posterior, prior: as `VariationalModel`'s.

    Raises:
        UserError: as `VariationalModel`.

    Source: Kingma and Welling 2014, "Auto-encoding variational Bayes", eq. 3; Rezende et al. 2014, "Stochastic
    backpropagation and approximate inference in deep generative models".

    >>> import torch
    >>> from genlab.core import DataSpec, ModalitySpec, RandomStreams
    >>> model = VAE(DataSpec("digits", {"image": ModalitySpec((1, 8, 8), num_levels=17)}), latent_dim=4)
    >>> x = model.sample(2, rng=RandomStreams(0, 2))
    >>> x.shape, model.encode(x).shape, model.log_prob(x, num_samples=1).kind
    (torch.Size([2, 1, 8, 8]), torch.Size([2, 4]), 'bound')
    """
