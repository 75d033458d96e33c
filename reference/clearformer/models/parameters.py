"""How many numbers the Transformer of 2017 learns, counted by hand."""


def count_parameters(num_layers, d_model, d_ff, vocab_size):
    """The parameters of an encoder-decoder (Vaswani et al. 2017), weights and biases together.

    num_layers encoder layers and as many decoder layers. All linear maps have a bias and each norm a weight and a
    bias of d_model numbers; the norms are those of post-norm, with none after the last layer. One table of
    vocab_size rows serves both embeddings and the output, which has no bias. Positions and heads add nothing.
    Plain integers; the paper's base model is count_parameters(6, 512, 2048, 37000).
    """
    attention = 4 * (d_model * d_model + d_model)
    feed_forward = (d_model * d_ff + d_ff) + (d_ff * d_model + d_model)
    norm = 2 * d_model
    encoder_layer = attention + feed_forward + 2 * norm
    decoder_layer = 2 * attention + feed_forward + 3 * norm
    return num_layers * (encoder_layer + decoder_layer) + vocab_size * d_model
