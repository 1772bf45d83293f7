

def write_site(out, recipe, notes, left_out, *, reports, seed):
    (out / "index.html").write_text("x")
    return out / "index.html"
