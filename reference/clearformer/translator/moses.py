"""Plain text as the tokenised, lower-cased text that published figures on Multi30k are computed on.

The data set's tok/ files were made by the Moses scripts; sacremoses does the same, character for character.
"""


def tokenised(lines, language):
    """Each line lower-cased, its punctuation normalised, tokens between spaces. language: "en" or "de"."""
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normalizer, tokenizer = MosesPunctNormalizer(language), MosesTokenizer(language)
    return [tokenizer.tokenize(normalizer.normalize(line.lower()), return_str=True).strip() for line in lines]
