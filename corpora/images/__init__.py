"""Films as arrays: any file read, fitted to a model's square and back, hashed, cached for training.

from corpora.images import ImageCache, fit, read_any
film = read_any("film.dcm")                # (rows, columns), uint16, bones white
small, transform = fit(film, 512)          # padded to a square, resized; transform.to_image(boxes) leads back
"""

from corpora.images.cache import CacheSummary, ImageCache, build_cache
from corpora.images.files import read_any
from corpora.images.fit import Transform, fit
from corpora.images.hashes import hamming, phash

__all__ = ["CacheSummary", "ImageCache", "Transform", "build_cache", "fit", "hamming", "phash", "read_any"]
