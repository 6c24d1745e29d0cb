"""What the training library says of its recipes, marked for translation here because it knows no Django.

The tag `translate_value` translates these where they are shown; a test compares this list with the recipes.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop

RECIPES = [
    gettext_noop("Head on the encoder (a minute on a laptop)"),
    gettext_noop("A linear layer on the serving encoder's vectors and on words. The encoder stays as it is."),
    gettext_noop("Intents, and what is about none of them"),
    gettext_noop(
        "Compares a question with every example, by vectors and by words; says when it is like none."
    ),
    gettext_noop("Topics, several a text"),
    gettext_noop("Compares a text with every example, by vectors and by words; a topic has its own border."),
    gettext_noop("Tuned encoder with words beside it (the best for short texts)"),
    gettext_noop(
        "LoRA matrices for the encoder, a layer on its vectors and on words; several runs are averaged "
        "and taught to one."
    ),
    gettext_noop("Text classifier (any transformer)"),
    gettext_noop("Fine-tunes a transformer whole, through LoRA, or from a few examples of each label."),
    gettext_noop("Tagger of names in texts"),
    gettext_noop("Fine-tunes a transformer to mark spans: companies, products, places."),
    gettext_noop("Encoder for search and recommendation"),
    gettext_noop("Draws questions and their answers together; other answers of the batch are pushed away."),
    gettext_noop("Cross-encoder that reranks"),
    gettext_noop("Reads question and answer together and says how well they fit."),
    gettext_noop("Text generator for dialogues (LoRA)"),
    gettext_noop(
        "Teaches a causal language model the company's own answers; only the answers count in the loss."
    ),
    gettext_noop("Rewriter: summaries, translation"),
    gettext_noop("Fine-tunes an encoder-decoder to turn one text into another."),
    gettext_noop("Learn the field's language (masked words)"),
    gettext_noop(
        "Goes on with masked-language modelling on the company's own texts; the result is a base for "
        "other recipes."
    ),
]
"""Titles and descriptions."""
PARAMETERS = [
    gettext_noop("Inverse of the penalty on large weights."),
    gettext_noop("0 weighs all examples alike, 1 all classes."),
    gettext_noop("Joined headlines made for each example towards a company."),
    gettext_noop("Noise of a name as one more example; 0 for none."),
    gettext_noop("Share of fitting questions that may be refused."),
    gettext_noop("Examples that choose the setting."),
    gettext_noop("Examples that are kept in the model."),
    gettext_noop("How often more the words of a title count; 0 reads none."),
    gettext_noop("How slowly a topic's border leaves the common one."),
    gettext_noop("Examples that are kept, the latest."),
    gettext_noop("How often every example is seen."),
    gettext_noop("Examples that make one step."),
    gettext_noop("The step's length at its peak."),
    gettext_noop("How strongly weights are pulled towards zero."),
    gettext_noop("The share of steps in which the rate rises to its peak."),
    gettext_noop("Each layer's rate as a share of the one above it."),
    gettext_noop("Evaluations without a gain that end the run early; 0 never does."),
    gettext_noop("Longer texts are cut to this many tokens."),
    gettext_noop("Parts a step is worked through in, to save memory."),
    gettext_noop("Save memory by computing layers twice."),
    gettext_noop("Rank of the LoRA matrices, where they are used."),
    gettext_noop("How much the LoRA matrices count, over their rank."),
    gettext_noop("Length of the adversarial step on the word embeddings; 0 for none."),
    gettext_noop("The share of each label given to all labels alike."),
    gettext_noop("The share of the encoder's activations that is dropped."),
    gettext_noop("0 weighs all examples alike in the loss, 1 all classes."),
    gettext_noop("Reworded copies made for each example of the training part."),
    gettext_noop("Epochs of masked-language modelling on the texts first."),
    gettext_noop("Runs on parts of the rows whose answers are taught to one model."),
    gettext_noop("Epochs in which one model learns the average; 0 for none."),
    gettext_noop("Words and pieces of words beside the encoder."),
    gettext_noop("Lower layers left as they are and computed once."),
    gettext_noop("Tune all layers and keep the change in LoRA form."),
    gettext_noop("What is tuned."),
    gettext_noop("Alpha of mixing two examples' vectors and labels; 0 for none."),
    gettext_noop("few_shot: pairs made for each example."),
    gettext_noop("Make the first parts of a vector usable alone."),
    gettext_noop("Texts held in memory at once; the batch may be larger."),
    gettext_noop("Wrong answers set against each right one."),
    gettext_noop("The share of tokens that are hidden."),
]
"""What each parameter does."""
GATE = [
    gettext_noop(
        "{metric} went from {before:.3f} ({against}) to {after:.3f} on {n} rows. The gain of "
        "{gain:+.3f} lies between {low:+.3f} and {high:+.3f} (certainty: 95 %), above the {least:.3f} that "
        "is asked for."
    ),
    gettext_noop(
        "{metric} went from {before:.3f} ({against}) to {after:.3f} on {n} rows. The gain of "
        "{gain:+.3f} lies between {low:+.3f} and {high:+.3f} (certainty: 95 %): that it is above "
        "{least:.3f} is not proven."
    ),
    gettext_noop(
        "F1 of “{label}” falls by {fall:.3f} ({low:+.3f} to {high:+.3f}, {n} rows); at most "
        "{margin:.3f} is allowed."
    ),
    gettext_noop(
        "No class loses more than {margin:.3f} of its F1; the largest change for the worse is {worst:+.3f}."
    ),
    gettext_noop(
        "Its answers fit the labels no better than the same answers dealt out at random "
        "(p = {p:.3f}, below {level} is asked for): it has learned nothing that these rows show."
    ),
    gettext_noop(
        "Its answers fit the labels better than the same answers dealt out at random (p = {p:.3f})."
    ),
    gettext_noop("There are {n} rows to compare on; at least {least} are needed."),
    gettext_noop("Rows of the challenger's answers that are not numbers: {n}."),
    gettext_noop("Macro F1"),
    gettext_noop("Accuracy"),
    gettext_noop("Micro F1"),
    gettext_noop("The score"),
    gettext_noop("the live version"),
    gettext_noop("the TF-IDF baseline"),
    gettext_noop("the most frequent class"),
]
"""The gate's reasons, its metrics and opponents."""
DRIFT = [
    gettext_noop(
        "The shares of the labels have moved: PSI {value:.2f} (it counts from {least:.2f}), most of "
        "all “{label}”, from {before:.1%} to {after:.1%}."
    ),
    gettext_noop(
        "The model is as sure as it was no longer: its confidence is distributed {value:.2f} apart "
        "(Kolmogorov-Smirnov; it counts from {least:.2f}), its mean went from {before:.2f} to {after:.2f}."
    ),
    gettext_noop(
        "The texts lie elsewhere: their centre has moved by {value:.2f} of a text's usual distance "
        "from it (it counts from {least:.2f})."
    ),
    gettext_noop("{n} rows are too few to tell; at least {least} are needed."),
    gettext_noop("Nothing has moved beyond what chance does to {n} rows."),
]
"""What the look for drift says."""
