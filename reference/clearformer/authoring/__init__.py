"""Tools for the people who write lessons; a learner never needs them.

python -m clearformer.authoring.refresh notebooks solutions      run and normalise
python -m clearformer.authoring.handout solutions exercises      take the answers out
"""
