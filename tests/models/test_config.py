"""TransformerConfig: presets, there and back through a dict, and what it refuses."""

import dataclasses
import json

import pytest

from clearformer.models import TransformerConfig


def test_base_is_the_model_of_2017():
    config = TransformerConfig.preset("base", vocab_size=37000)
    assert config == TransformerConfig(37000)
    sizes = (config.num_encoder_layers, config.num_decoder_layers, config.d_model, config.num_heads, config.d_ff)
    assert sizes == (6, 6, 512, 8, 2048)
    assert (config.dropout, config.norm, config.share_embeddings, config.pad_id) == (0.1, "post", True, 0)


def test_tiny_is_the_model_of_the_multi30k_recipe():
    config = TransformerConfig.preset("tiny", vocab_size=100)
    sizes = (config.num_encoder_layers, config.num_decoder_layers, config.d_model, config.num_heads, config.d_ff)
    assert (*sizes, config.dropout) == (4, 4, 128, 4, 256, 0.3)


def test_a_preset_can_be_changed():
    config = TransformerConfig.preset("toy", vocab_size=9, norm="pre", d_model=32)
    assert (config.norm, config.d_model, config.num_heads) == ("pre", 32, 4)


@pytest.mark.parametrize("name", ["base", "tiny", "toy"])
def test_a_configuration_survives_json(name):
    config = TransformerConfig.preset(name, vocab_size=9, target_vocab_size=7, share_embeddings=False, final_norm=True)
    assert TransformerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_it_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TransformerConfig(9).d_model = 4


def test_the_target_has_the_source_vocabulary_unless_told_otherwise():
    assert TransformerConfig(9).target_size == 9
    assert TransformerConfig(9, 7, share_embeddings=False).target_size == 7


@pytest.mark.parametrize(("norm", "final_norm", "expected"), [("post", None, False), ("pre", None, True)])
def test_a_final_norm_comes_with_pre_norm_unless_told_otherwise(norm, final_norm, expected):
    assert TransformerConfig(9, norm=norm).has_final_norm is expected
    assert TransformerConfig(9, norm=norm, final_norm=not expected).has_final_norm is not expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(num_heads=7), r"num_heads must divide d_model; got d_model = 512, num_heads = 7"),
        (dict(d_model=0), r"d_model must be a whole number of at least 1; got 0"),
        (dict(d_model="512"), r"d_model must be a whole number of at least 1; got '512'"),
        (dict(d_ff=2048.0), r"d_ff must be a whole number of at least 1; got 2048.0"),
        (dict(num_encoder_layers=0), r"num_encoder_layers must be a whole number of at least 1; got 0"),
        (dict(num_decoder_layers=True), r"num_decoder_layers must be a whole number of at least 1; got True"),
        (dict(vocab_size=None), r"vocab_size must be a whole number of at least 1; got None"),
        (dict(target_vocab_size=0), r"target_vocab_size must be a whole number of at least 1; got 0"),
        (dict(dropout=1.5), r"dropout must be from 0 to 1; got 1.5"),
        (dict(dropout="0.1"), r"dropout must be from 0 to 1; got '0.1'"),
        (dict(norm="Pre"), r"norm must be one of 'post', 'pre'; got 'Pre'"),
        (dict(norm=["pre"]), r"norm must be one of 'post', 'pre'; got \['pre'\]"),
        (dict(activation="swish"), r"activation must be one of 'relu', 'gelu', 'silu', 'gelu_tanh'; got 'swish'"),
        (dict(share_embeddings="no"), r"share_embeddings must be True or False; got 'no'"),
        (dict(output_bias=1), r"output_bias must be True or False; got 1"),
        (dict(hide_target_padding=None), r"hide_target_padding must be True or False; got None"),
        (dict(final_norm=0), r"final_norm must be True or False; got 0"),
        (dict(target_vocab_size=50), r"share_embeddings needs one vocabulary .* vocab_size = 100, .* = 50"),
        (dict(pad_id=100), r"pad_id must be a token of both vocabularies, 0 to 99; got 100"),
        (dict(pad_id=60, target_vocab_size=50, share_embeddings=False), r"pad_id .* 0 to 49; got 60"),
        (dict(pad_id=None), r"pad_id .* got None"),
        (dict(d_modle=512, heads=8), r"unknown in a TransformerConfig: d_modle, heads. Its fields are vocab_size, "),
    ],
)
def test_what_cannot_be_used_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        TransformerConfig.from_dict({"vocab_size": 100, **fields})


def test_a_missing_vocabulary_and_an_unknown_preset_are_named():
    with pytest.raises(ValueError, match=r"vocab_size is missing"):
        TransformerConfig.from_dict({"d_model": 8})
    with pytest.raises(ValueError, match=r"name must be one of 'base', 'tiny', 'toy'; got 'large'"):
        TransformerConfig.preset("large", vocab_size=9)
    with pytest.raises(ValueError, match=r"unknown in a TransformerConfig: layers"):
        TransformerConfig.preset("tiny", vocab_size=9, layers=2)
