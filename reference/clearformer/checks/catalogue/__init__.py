"""All lessons and their exercises. Each exercise is a file of its lesson's folder, loaded when asked for."""

from __future__ import annotations

import difflib
import functools
import importlib
from dataclasses import dataclass

from clearformer.checks.feedback import CheckFailed


@dataclass(frozen=True)
class Lesson:
    """id: "02_attention", the name of its notebooks; minutes to read and run it, without the exercises;
    exercises: {name: file in the lesson's folder}, in the order of the notebook;
    builds: modules of the reference that this lesson builds: its exercises may not call them, later ones may. One that
    an earlier lesson has brought along is named again where its subject is taught: there, too, it may not be called."""

    id: str
    title: str
    minutes: int
    exercises: dict[str, str]
    builds: tuple[str, ...] = ()

    @property
    def folder(self):
        return f"{__name__}.lesson_{self.id}"


def _same_names(*names):
    return {name: name for name in names}


def _modules(package, *names):
    return [f"{package}.{name}" for name in names]


LESSONS = (
    Lesson("00_start_here", "Start here", 15, _same_names("normalise_rows")),
    Lesson(
        "01_positional_encoding",
        "Where am I? Positional encoding",
        50,
        _same_names("positional_encoding", "shift_matrix", "wavelength_of_last_pair", "add_positions"),
        builds=("clearformer.numpy.positions",),
    ),
    Lesson(
        "02_attention",
        "Who looks at whom? Attention",
        60,
        _same_names(
            "softmax",
            "score_variance",
            "scaled_dot_product_attention",
            "causal_mask",
            "padding_mask",
            "causal_attention",
            "attention_backward",
        ),
        builds=("clearformer.numpy.attention",),
    ),
    Lesson(
        "03_multi_head_attention",
        "Many heads: from NumPy to PyTorch",
        60,
        {
            **_same_names("split_heads", "merge_heads", "multi_head_attention", "projection_parameters"),
            "MultiHeadAttention": "multi_head_attention_module",
            **_same_names("attend_with_heads"),
        },
        builds=("clearformer.numpy.multi_head", "clearformer.nn.attention"),
    ),
    Lesson(
        "04_encoder_decoder",
        "From layers to a model: encoder and decoder",
        75,
        {
            "FeedForward": "feed_forward",
            **_same_names("feed_forward_share"),
            "EncoderLayer": "encoder_layer",
            **_same_names("decoder_mask"),
            "DecoderLayer": "decoder_layer",
            **_same_names("encode_then_decode", "count_parameters"),
        },
        builds=(
            *_modules(
                "clearformer.nn", "dropout", "feed_forward", "residual", "embedding", "positions", "encoder", "decoder"
            ),
            *_modules("clearformer.models", "parameters", "transformer", "torch_weights"),
        ),
    ),
    Lesson(
        "05_training",
        "How it learns: the training recipe",
        75,
        _same_names(
            "warmup_rate",
            "loss_before_training",
            "label_smoothed_loss",
            "lowest_smoothed_loss",
            "translation_loss",
            "batch_by_tokens",
        ),
        builds=(
            *_modules("clearformer.data", "tokenizer", "batches", "toy_tasks"),
            # The corpora answer nothing, and lesson 06 is about them.
            *_modules("clearformer.data", "multi30k", "download", "folder", "progress_bar", "translation_pairs"),
            *_modules("clearformer.data.tiny_translation", "corpus", "english", "german"),
            *_modules("clearformer.data.tiny_translation", "sampling", "sentences", "words"),
            *_modules("clearformer.training", "loss", "schedule", "loop", "settings", "progress", "randomness"),
            *_modules("clearformer.training", "checkpoint", "averaging", "data_parallel"),
        ),
    ),
    Lesson(
        "06_translation",
        "English to German: a translator",
        60,
        _same_names(
            "most_frequent_pair",
            "merge_pair",
            "greedy_decode",
            "decode_batch",
            "positions_without_cache",
            "beam_search",
            "bleu_without_the_last_word",
            "corpus_bleu",
        ),
        builds=(
            "clearformer.data.byte_pairs",
            "clearformer.nn.cache",
            *_modules("clearformer.generation", "one_sentence", "greedy", "beam"),
            "clearformer.models.marian_weights",
            "clearformer.evaluation",
            *_modules("clearformer.translator", "translator", "scores", "moses", "progress_bar"),
            *_modules("clearformer.training", "recipe", "run_recipe"),
        ),
    ),
    Lesson(
        "07_pre_norm_post_norm",
        "Before or after? Where the norm stands",
        50,
        _same_names(
            "layer_norm",
            "post_norm",
            "pre_norm",
            "stream_deviation",
            "last_gradient_ratio",
            "pre_norm_stack",
        ),
        builds=("clearformer.nn.norm", "clearformer.numpy.layers"),
    ),
    Lesson(
        "08_gradient_checkpointing",
        "Forget and compute again: gradient checkpointing",
        50,
        _same_names(
            "activation_bytes",
            "best_segments",
            "layer_calls_in_a_step",
            "checkpointed_forward",
            "checkpoint_layer",
        ),
        builds=(*_modules("clearformer.memory", "activations", "checkpoint", "measuring", "policies", "prediction"),),
    ),
    Lesson(
        "09_lora",
        "A model learns something new: LoRA",
        50,
        {
            **_same_names("adapter_parameters"),
            "LoRALinear": "lora_linear",
            **_same_names("apply_lora", "adapter_optimizer_bytes", "fine_tune"),
        },
        builds=(
            *_modules("clearformer.lora", "linear", "model", "adapter_files"),
            *_modules("clearformer.models", "bert", "bert_weights", "minilm"),
            *_modules("clearformer.data", "paraphrases", "photo_captions", "polite_requests", "restaurant_remarks"),
        ),
    ),
    Lesson(
        "10_llama_block",
        "From 2017 to LLaMA: the block, one switch at a time",
        60,
        {
            **_same_names("rms_norm", "rotary_embedding", "swiglu", "grouped_query_attention", "cache_bytes"),
            "KeyValueCache": "key_value_cache",
            **_same_names("attend_in_chunks"),
        },
        builds=(
            *_modules(
                "clearformer.nn", "rms_norm", "rotary", "swiglu", "grouped_query_attention", "decoder_only_cache"
            ),
            "clearformer.nn.cache",  # lesson 06 brought it along, here it is the subject
            *_modules("clearformer.models", "llama", "llama_weights"),
            "clearformer.generation.continuation",
        ),
    ),
    Lesson(
        "11_model_families",
        "One block, three families",
        60,
        _same_names(
            "mask_tokens",
            "graded_among_visible",
            "causal_lm_loss",
            "nucleus",
            "corrupt_spans",
            "tokens_written",
        ),
        builds=(
            *_modules("clearformer.models", "gpt2", "gpt2_weights", "t5", "t5_weights", "bart_weights"),
            "clearformer.generation.sampling",
            *_modules("clearformer.training", "masked_tokens", "next_token", "span_corruption"),
            *_modules("clearformer.data", "village", "number_rules"),
        ),
    ),
    Lesson(
        "12_efficient_attention",
        "When sequences get long: efficient attention",
        60,
        _same_names(
            "attention_flops",
            "attention_share",
            "overtaking_length",
            "online_softmax_attention",
            "sliding_window_mask",
            "window_attention",
            "linear_attention",
        ),
        builds=(
            "clearformer.complexity",
            "clearformer.numpy.online_softmax",
            *_modules("clearformer.nn", "online_softmax", "sparse_attention", "linear_attention"),
        ),
    ),
    Lesson(
        "13_scaling_laws",
        "How big, how long? Scaling laws",
        60,
        _same_names(
            "training_flops",
            "days_of_training",
            "fit_power_law",
            "compute_optimal",
            "critical_batch_size",
            "plan_training",
        ),
        builds=(
            *_modules("clearformer.scaling", "kaplan", "chinchilla", "fitting", "small_runs"),
            "clearformer.data.follower_language",
        ),
    ),
)


def lesson(lesson_id):
    return next(lesson for lesson in LESSONS if lesson.id == lesson_id)


def names():
    """Every exercise's name, in the order of the course."""
    return [name for lesson in LESSONS for name in lesson.exercises]


@functools.cache
def _load(folder, file):
    return importlib.import_module(f"{folder}.{file}").EXERCISE


def find(name):
    """The exercise called `name`; CheckFailed with near names where there is none."""
    for each in LESSONS:
        if name in each.exercises:
            return _load(each.folder, each.exercises[name])
    near = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
    meant = f" Did you mean {' or '.join(near)}?" if near else f" The exercises are: {', '.join(names())}."
    raise CheckFailed(f"There is no exercise called {name!r}.{meant}")


def exercises(lesson_id=None):
    """All exercises, or those of one lesson, in order."""
    return [
        _load(each.folder, file) for each in LESSONS if lesson_id in (None, each.id) for file in each.exercises.values()
    ]


def modules_built_before(lesson_id):
    """Reference modules that an answer in this lesson may call: those of earlier lessons, without its own subject's."""
    before = LESSONS[: [each.id for each in LESSONS].index(lesson_id)]
    own = lesson(lesson_id).builds
    return tuple(dict.fromkeys(module for each in before for module in each.builds if module not in own))


def modules_not_yet_built(lesson_id):
    """Reference modules that an answer in this lesson may not call: its own subject's, and later ones'."""
    allowed = modules_built_before(lesson_id)
    every = dict.fromkeys(module for each in LESSONS for module in each.builds)
    return tuple(module for module in every if module not in allowed)
