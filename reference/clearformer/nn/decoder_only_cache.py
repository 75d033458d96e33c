"""What a model of one stack of self-attentions keeps while it writes."""

from clearformer.nn.cache import KeyValueCache


class DecoderOnlyCache:
    """A KeyValueCache for each layer; what new_cache of a decoder-only model returns.

    A new one is empty. It belongs to the model that it is first used with, and to the weights that the model then has.
    length is how many tokens it holds: the position of the next one.
    """

    def __init__(self, num_layers):
        self.layers = [KeyValueCache() for _ in range(num_layers)]
        self.one_token = None  # the model, laid out for one token at a time; False where it cannot be

    @property
    def length(self):
        return self.layers[0].length

    @property
    def num_rows(self):
        """Rows of the batch; None before the first tokens."""
        keys = self.layers[0].keys
        return None if keys is None else len(keys)

    def keep(self, rows):
        """Go on with these rows of the batch, in this order, as in KeyValueCache.keep."""
        for layer in self.layers:
            layer.keep(rows)
