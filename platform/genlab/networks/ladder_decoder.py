"""The way down a ladder of latents: through stochastic levels to the likelihood's parameters."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from genlab.core import Condition, DataSpec, require
from genlab.networks.blocks import ResidualBlock, Upsample, group_norm, zero_init
from genlab.networks.conditions import Conditional, condition_embedding, kinds_taken
from genlab.networks.ladder_encoder import kernel_at, map_shapes
from genlab.networks.norm_silu import norm_silu

DrawLevel = Callable[[Tensor, Tensor | None], Tensor]  # parameters of prior and posterior -> z of a level


class LadderBlock(nn.Module):
    """One level: p(z_l | z_<l) from what came down, q(z_l | z_<l, x) with x's features too, and z_l taken in.

    Args:
        channels: of the maps.
        latent_channels: of z_l.
        embedding_dim: of the condition; 0 for none.
        dropout: in the residual blocks.
        kernel_size: of the residual blocks' convolutions.
    """

    def __init__(
        self,
        channels: int,
        latent_channels: int,
        embedding_dim: int = 0,
        dropout: float = 0.0,
        kernel_size: int = 3,
    ):
        super().__init__()
        settings = (channels, embedding_dim, dropout, kernel_size)  # of a residual block, from its output on
        self.infer, self.after = ResidualBlock(2 * channels, *settings), ResidualBlock(channels, *settings)
        self.norms = nn.ModuleList([group_norm(channels), group_norm(channels)])
        # The prior starts as N(0, I).
        self.prior = zero_init(nn.Conv2d(channels, 2 * latent_channels, 1))
        self.posterior = nn.Conv2d(channels, 2 * latent_channels, 1)
        self.insert = nn.Conv2d(latent_channels, channels, 1)

    def forward(
        self, h: Tensor, features: Tensor | None, draw: DrawLevel, embedding: Tensor | None
    ) -> Tensor:
        """(B, C, h, w) of the levels above -> the same, with this level."""
        prior, posterior = self.prior(norm_silu(h, self.norms[0])), None
        if features is not None:
            inferred = self.infer(torch.cat([h, features], 1), embedding)
            posterior = self.posterior(norm_silu(inferred, self.norms[1]))
        z = draw(prior, posterior)
        return self.after(h + self.insert(z.to(h.dtype)), embedding)


class LadderDecoder(nn.Module):
    """Down a ladder of stochastic levels to the likelihood's parameters; what draws the levels is handed in.

    Args:
        spec: of the data, whose shape is (C, H, W).
        num_channels: of the output, what the likelihood asks for.
        channels: width at each resolution, from the image's own downwards, as the encoder's.
        num_levels: stochastic levels at each resolution, from the image's own downwards.
        latent_channels: of each level; or a list of those at each resolution.
        num_blocks: residual blocks at each resolution, before its levels.
        dropout: in the residual blocks.
        conditional: the kinds of condition (label, vector) that all levels are given.
        embedding_dim: of the condition.

    Attributes:
        feature_shapes: of the encoder that it needs.
        latent_shapes: (C, h, w) of each level, the top one's first.
        conditions: the kinds taken.

    Raises:
        UserError: the data are no images, a side can't be halved that often, not one number of levels or
            latents for each width, or no level at the coarsest resolution.

    Source: Sonderby et al. 2016, "Ladder variational autoencoders"; Child 2021, "Very deep VAEs generalize
    autoregressive models", figure 3.

    >>> from genlab.core import ModalitySpec
    >>> spec = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17)})
    >>> decoder = LadderDecoder(spec, 17, [4, 8], num_levels=[1, 2], latent_channels=2)
    >>> decoder.latent_shapes, decoder(lambda prior, posterior: prior.chunk(2, 1)[0], 3).shape
    (((2, 4, 4), (2, 4, 4), (2, 8, 8)), torch.Size([3, 17, 8, 8]))
    """

    def __init__(
        self,
        spec: DataSpec,
        num_channels: int,
        channels: Sequence[int] = (32, 64),
        num_levels: Sequence[int] = (1, 2),
        latent_channels: int | Sequence[int] = 8,
        num_blocks: int = 1,
        dropout: float = 0.0,
        conditional: Conditional = False,
        embedding_dim: int = 64,
    ):
        super().__init__()
        self.feature_shapes = map_shapes(spec, channels)
        one_each, remedy = f"{len(channels)} numbers, one per resolution", "give as many as `channels`"
        single = isinstance(latent_channels, int)
        latents = [latent_channels] * len(channels) if single else list(latent_channels)
        for name, numbers in {"num_levels": num_levels, "latent_channels": latents}.items():
            require(len(numbers) == len(channels), name, list(numbers), one_each, remedy)
        ok, expected = min(num_levels) >= 0, "non-negative numbers, and a level at the coarsest resolution"
        require(ok and num_levels[-1] > 0, "num_levels", list(num_levels), expected, "use 1 each")
        require(min(latents) >= 1, "latent_channels", latent_channels, "positive integers", "use 8")
        self.conditions = kinds_taken(spec, conditional, able=("label", "vector"))
        self.embedding = condition_embedding(spec, self.conditions, embedding_dim)
        dim = embedding_dim if self.conditions else 0
        # What is known of each position before any level: where the way down starts, and of finer positions.
        self.positions = nn.ParameterList([torch.zeros(1, *shape) for shape in self.feature_shapes])
        self.blocks, self.levels, self.up, shapes = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), []
        for i, (shape, count) in enumerate(zip(self.feature_shapes, num_levels, strict=True)):
            width, settings = channels[i], (dim, dropout, kernel_at(shape))
            blocks = [ResidualBlock(width, width, *settings) for _ in range(num_blocks)]
            levels = [LadderBlock(width, latents[i], *settings) for _ in range(count)]
            self.blocks.append(nn.ModuleList(blocks))
            self.levels.append(nn.ModuleList(levels))
            shapes += [(latents[i], *shape[1:])] * count
            if i > 0:
                self.up.append(Upsample(width, channels[i - 1]))
        self.latent_shapes = tuple(reversed(shapes))
        self.norm = group_norm(channels[0])
        self.out = nn.Conv2d(channels[0], num_channels, 3, padding=1)

    def forward(
        self,
        draw: DrawLevel,
        num: int,
        features: Sequence[Tensor] | None = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """The likelihood's parameters, (num, num_channels, H, W), without bounds.

        Args:
            draw: gives z_l (num, C, h, w) from the parameters of its prior and its posterior (num, 2 C, h, w), of
                which the second is None without features; called once a level, the top one first.
            num: of samples.
            features: of the encoder.
            condition: of each sample, or None.
        """
        embedding = None if self.embedding is None else self.embedding(condition, num)
        h = self.positions[-1].expand(num, -1, -1, -1)
        for i in reversed(range(len(self.levels))):
            for block in self.blocks[i]:
                h = block(h, embedding)
            for level in self.levels[i]:
                h = level(h, None if features is None else features[i], draw, embedding)
            if i > 0:
                h = self.up[i - 1](h) + self.positions[i - 1]
        return self.out(norm_silu(h, self.norm))
