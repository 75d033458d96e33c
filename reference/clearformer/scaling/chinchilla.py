"""How to share a budget between parameters and tokens, by Hoffmann et al. 2022.

"Training Compute-Optimal Large Language Models", the third of its three methods (section 3.3), and the fit of the same
data by Besiroglu et al. 2024, "Chinchilla Scaling: A replication attempt". Loss in nats a token.
"""

from dataclasses import dataclass

from clearformer.scaling._arguments import require_positive


@dataclass(frozen=True)
class LossSurface:
    """L(N, D) = floor + A / N^alpha + B / D^beta: what cannot be learned, too few parameters, too few tokens."""

    floor: float
    A: float
    alpha: float
    B: float
    beta: float

    def loss(self, num_parameters, num_tokens):
        """Nats a token. ValueError where an argument is not positive and finite."""
        require_positive(num_parameters=num_parameters, num_tokens=num_tokens)
        return self.floor + self.A / num_parameters**self.alpha + self.B / num_tokens**self.beta

    def compute_optimal(self, flops):
        """(parameters, tokens) with the lowest loss under 6ND = flops (Hoffmann et al. 2022, eq. 4). Not rounded.

        With D = C / 6N the derivative is zero where alpha · A / N^alpha = beta · B / D^beta.
        """
        require_positive(flops=flops)
        both = self.alpha + self.beta
        balance = (self.alpha * self.A / (self.beta * self.B)) ** (1 / both)
        parameters = balance * (flops / 6) ** (self.beta / both)
        tokens = (flops / 6) ** (self.alpha / both) / balance
        return parameters, tokens


CHINCHILLA = LossSurface(1.69, 406.4, 0.34, 410.7, 0.28)  # eq. 10, rounded as printed
REFIT_2024 = LossSurface(1.8172, 482.01, 0.3478, 2085.43, 0.3658)


def compute_optimal(flops):
    """(parameters, tokens) for a budget, from the constants of 2022 as they are printed.

    They give 26 tokens a parameter at 1e18 operations, 50 at 1e21 and 93 at 5.76e23; the paper's first two methods give
    about 20 everywhere. ValueError where flops is not a positive, finite number.
    """
    return CHINCHILLA.compute_optimal(flops)
