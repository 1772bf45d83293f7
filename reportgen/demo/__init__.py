"""The whole loop once, on phantoms or on your own reports, with a page that shows what each part did.

recipe.py     what decides a demo: configs/demo/
stages.py     which stages there are, in order
job.py        one stage after another: what is done is kept, what it took is noted
display.py    one progress display over all of them
corpus.py     phantoms, check, de-identification, scan, truth, split, card
text.py       labels by rules and network, agreement, audit
reader.py     a simulated reader who errs
films.py      encoder, predictions, evaluation, maps
drafts.py     decoder, drafter, drafts, benchmark, trace, pages
own.py        your own reports
run.py        demo(...)
cli.py        radloop demo
site.py       index.html, every figure with the file it was read from
site_*.py     its sections
"""
