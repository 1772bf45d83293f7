"""The neural labeler: a small BERT with a convolutional head, taught by another labeler and by gold labels.

recipe.py           what decides a training run (pydantic); pretrain_recipe.py, a pretraining run
reading.py          the words of a report that a network reads, and where they stand in it
model.py            the network, a transformers model
tokenizer.py        its word pieces, learned from the user's reports
build.py            an encoder of one's own or a small new one, the device
data.py             reports, weak labels, the held-out part, gold
variants.py         reports made of the sentences of others, for a teacher to label
batches.py          token ids through the network, in batches that fit
measure.py          weighted F1
calibrate.py        temperatures, calibration error
loop.py             epochs, early stopping, checkpoints
train.py            all of that as one run
pretrain.py         word pieces and an encoder from reports alone; pretrain_steps.py, its steps
predict.py          a trained folder as a labeler
bar.py              progress on stderr
commands.py         `radloop label train`; pretrain_command.py, `radloop label pretrain`

Importing this package loads none of them: torch and transformers come with the modules that need them.
"""
