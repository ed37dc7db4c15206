"""The variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014)."""

from genlab.families.variational import VariationalModel


class VAE(VariationalModel):
    """Variational autoencoder: z ~ p(z), x ~ p(x | decoder(z)), with q(z | x) from an encoder, trained on a bound."""
