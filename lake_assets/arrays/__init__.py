"""Arrays on S3 and in folders: dense, chunked, sparse, trees of them; every cottoncandy object.

The package needs the extra ``[arrays]``; the rest of lake_assets never imports it.
"""
