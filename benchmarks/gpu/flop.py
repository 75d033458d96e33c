"""How many floating-point operations a training step has, by formula.

A multiply-add counts as two. A linear map from n to m numbers is 2·n·m a token. Attention's scores and its mixing are
2·T_q·T_k·d_model each, all heads together, with every key counted, hidden or not. The backward pass counts as two
forward passes: one for the gradients of the inputs, one for those of the weights. All else (norms, softmax, dropout,
the look-up of embeddings, Adam) is left out, and nothing that is computed again counts twice.
"""


def forward_flop(config, sentences, source_length, target_length):
    """Of one forward pass. config: a TransformerConfig."""
    d_model, layers = config.d_model, (config.num_encoder_layers, config.num_decoder_layers)
    source, target = sentences * source_length, sentences * target_length  # tokens
    feed_forward = 2 * 2 * d_model * config.d_ff  # a token
    projection = 2 * d_model * d_model
    encoder = source * (4 * projection + feed_forward) + _attention(sentences, source_length, source_length, d_model)
    decoder = (
        target * (6 * projection + feed_forward)  # self-attention's four, cross-attention's queries and outputs
        + source * 2 * projection  # cross-attention's keys and values
        + _attention(sentences, target_length, target_length, d_model)
        + _attention(sentences, target_length, source_length, d_model)
    )
    return layers[0] * encoder + layers[1] * decoder + target * 2 * d_model * config.target_size


def step_flop(config, sentences, source_length, target_length):
    """Of forward and backward."""
    return 3 * forward_flop(config, sentences, source_length, target_length)


def _attention(sentences, length_q, length_k, d_model):
    return 2 * 2 * sentences * length_q * length_k * d_model
