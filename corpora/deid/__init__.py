"""Remove what tells who somebody is, from DICOM files and from reports; keep what is clinical.

summary = deidentify("films/", "clean/", key_file="site.key", preset="basic")
"""
